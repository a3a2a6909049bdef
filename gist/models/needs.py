"""The memory that each way to give a context would need, computed from a model's configuration.

Nothing is loaded or measured; tables made from this say "computed".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PretrainedConfig

from gist.models import fit
from gist.models.architecture import positions_of

CONTEXT_TOKENS = (2048, 4096, 8192)
RATIO = 16  # context tokens per gist token
PASSAGE_TOKENS = 320  # the passages that rag shows by default: top_k times chunk_tokens
ASK_TOKENS = 128  # a question and its answer

# (context tokens) -> (KV entries cached for the context, context tokens read in the largest pass)
BACKENDS: dict[str, Callable[[int], tuple[int, int]]] = {
    "full": lambda tokens: (tokens, tokens),
    "rag": lambda tokens: (0, min(PASSAGE_TOKENS, tokens)),
    f"gist,ratio={RATIO}": lambda tokens: (-(-tokens // RATIO), tokens + -(-tokens // RATIO)),
    "closed_book": lambda _: (0, 0),
}


@dataclass(frozen=True, slots=True)
class Need:
    """What one backend needs for one context that the model has positions for."""

    context_tokens: int
    cached_bytes: int  # KV entries kept between questions
    total_bytes: int  # weights, KV entries and activations at the largest moment


def compute_needs(
    backend: str,
    config: PretrainedConfig,
    dtype: torch.dtype,
    *,
    loaded_bytes: int,
    prompt_tokens: int,
) -> Iterator[Need]:
    """Yield what one of `BACKENDS` needs for each number of context tokens that has positions.

    `dtype` is that of KV entries and activations, `loaded_bytes` those of the weights, and
    `prompt_tokens` stand in front of the context.
    """
    for tokens in CONTEXT_TOKENS:
        cached, read = BACKENDS[backend](tokens)
        entries = prompt_tokens + read + ASK_TOKENS
        if entries > positions_of(config):
            continue
        request = fit.request_bytes(
            config, dtype, new_entries=entries, new_tokens=prompt_tokens + read
        )
        cached_bytes = (prompt_tokens + cached) * fit.kv_bytes_per_entry(config, dtype)
        yield Need(tokens, cached_bytes, loaded_bytes + request)


def largest_fit(needs: Sequence[Need], usable_bytes: int) -> int:
    """Return the tokens of the largest context that fits into so much memory; 0 if none does."""
    fitting = (need.context_tokens for need in needs if need.total_bytes <= usable_bytes)
    return max(fitting, default=0)
