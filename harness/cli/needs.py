"""The memory that each way to give a context would need, computed from a model's configuration.

Nothing is loaded or measured; tables made from this say "computed".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

CONTEXT_TOKENS = (2048, 4096, 8192)
RATIO = 16  # context tokens per gist token
PASSAGE_TOKENS = 320  # the passages that rag shows by default: top_k times chunk_tokens
ASK_TOKENS = 128  # a question and its answer

# (context tokens) -> (context entries kept, context tokens read in the largest pass)
BACKENDS: tuple[tuple[str, Callable[[int], tuple[int, int]]], ...] = (
    ("full", lambda tokens: (tokens, tokens)),
    ("rag", lambda tokens: (0, min(PASSAGE_TOKENS, tokens))),
    (f"gist,ratio={RATIO}", lambda tokens: (-(-tokens // RATIO), tokens + -(-tokens // RATIO))),
    ("closed_book", lambda _: (0, 0)),
)


@dataclass(frozen=True, slots=True)
class Format:
    """How weights are kept."""

    name: str
    dtype: "torch.dtype"
    in_4bit: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Memory that a model could be put into."""

    name: str
    usable_bytes: int


@dataclass(frozen=True, slots=True)
class Need:
    """What one backend needs for one context."""

    backend: str
    context_tokens: int
    kept_bytes: int | None  # KV entries kept; None: more positions than the model has
    total_bytes: int | None  # weights, entries and activations at the largest moment


def compute_needs(
    config: "PretrainedConfig", weights: Format, *, prompt_tokens: int, max_positions: int
) -> Iterator[Need]:
    """Yield what every backend needs for every number of context tokens.

    Args:
        config: of the model.
        weights: how its weights are kept.
        prompt_tokens: tokens of the prompt in front of the context.
        max_positions: of the model; a context beyond them has no figures.
    """
    from gist.models import fit

    entry_bytes = fit.kv_bytes_per_entry(config, weights.dtype)
    loaded_bytes = weights_bytes(config, weights)
    for backend, sizes in BACKENDS:
        for tokens in CONTEXT_TOKENS:
            kept, read = sizes(tokens)
            entries = prompt_tokens + read + ASK_TOKENS
            if entries > max_positions:
                yield Need(backend, tokens, None, None)
                continue
            request = fit.request_bytes(
                config,
                weights.dtype,
                new_entries=entries,
                new_tokens=prompt_tokens + read,
                past_entries=0,
                batch=1,
            )
            kept_bytes = (prompt_tokens + kept) * entry_bytes
            yield Need(backend, tokens, kept_bytes, loaded_bytes + request)


def weights_bytes(config: "PretrainedConfig", weights: Format) -> int:
    """Return the bytes of a model's weights."""
    from gist.models import fit

    return fit.weights_bytes(config, weights.dtype, weights.in_4bit)


def needs_table(needs: Sequence[Need], places: Sequence[Place]) -> str:
    """Return a table with one line per backend, and the largest context that fits each place."""
    from tabulate import tabulate

    sizes = [f"{tokens // 1024}k" for tokens in CONTEXT_TOKENS]
    header = [
        "backend",
        *(f"KV at {size}" for size in sizes),
        *(f"all at {size}" for size in sizes),
    ]
    rows = []
    for backend, _ in BACKENDS:
        own = [need for need in needs if need.backend == backend]
        cells = [as_size(need.kept_bytes) for need in own]
        cells += [as_size(need.total_bytes) for need in own]
        rows.append([backend, *cells, *(_largest_fit(own, place) for place in places)])
    columns = [*header, *(place.name for place in places)]
    return tabulate(rows, columns, tablefmt="simple", disable_numparse=True)


def as_size(number: int | None) -> str:
    """Write bytes in the largest unit of which there is a tenth; `-` if not known."""
    if number is None:
        return "-"
    units = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
    name, size = next((unit for unit in units if number >= unit[1] / 10), units[-1])
    return f"{number / size:.2f} {name}"


def _largest_fit(needs: Sequence[Need], place: Place) -> str:
    """Say up to which context a place is large enough."""
    fitting = [
        need.context_tokens
        for need in needs
        if need.total_bytes is not None and need.total_bytes <= place.usable_bytes
    ]
    possible = [need for need in needs if need.total_bytes is not None]
    if not fitting:
        return "no" if possible else "-"
    return f"to {max(fitting) // 1024}k"
