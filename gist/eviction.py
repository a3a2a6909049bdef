"""Read a context and keep the KV entries that one of kvpress's presses scores highest.

NVIDIA's kvpress (Apache-2.0) has the published methods; only its `score` and its selection are used
here. Its metadata wants an older transformers than ours, so that it is installed without its
dependencies. What has to be minded with it:

- It compresses in the pass that reads the first position, and from transformers 5.3 on only if
  `cache_position` is handed to the model. So what stands in front of the context is read in the
  same pass, and its entries are kept by their scores.
- It leaves a module in each attention layer, and at its import wraps transformers' attention
  functions for presses that mask. Both are taken back.
- Presses that mask, that give heads or layers other lengths, that wrap other presses, or that need
  files of a hub are no entries of `PRESSES`: their caches would not be as small as they say.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

import torch
from transformers import DynamicCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from gist.decode import KVState
from gist.models.model import LanguageModel
from harness.errors import NotReady

VERSION = "0.5.5"
INSTALL = f"pip install --no-deps kvpress=={VERSION} fire termcolor 'cachetools<6'"
PRESSES = {
    "snapkv": "SnapKVPress",
    "expected_attention": "ExpectedAttentionPress",
    "knorm": "KnormPress",
    "streaming_llm": "StreamingLLMPress",
    "tova": "TOVAPress",
    "keydiff": "KeyDiffPress",
    "lagkv": "LagKVPress",
    "cur": "CURPress",
    "non_causal_attn": "NonCausalAttnPress",
    "random": "RandomPress",
}


def missing() -> str:
    """Return what to type where kvpress or what it imports is not there."""
    needs = ("kvpress", "fire", "termcolor", "cachetools")
    lacking = [name for name in needs if find_spec(name) is None]
    return f"{' and '.join(lacking)} not installed. Install: {INSTALL}" if lacking else ""


def check_supported(lm: LanguageModel) -> None:
    """Refuse a model whose layers kvpress does not know.

    Raises:
        NotReady: kvpress is not installed, or does not know the model.
    """
    if lacking := missing():
        raise NotReady(lacking)
    known = _kvpress().SUPPORTED_MODELS
    if not isinstance(lm.model, known):
        names = ", ".join(kind.__name__ for kind in known)
        raise NotReady(f"kvpress does not know {type(lm.model).__name__}. It knows {names}.")


@torch.inference_mode()
def read_pressed(
    lm: LanguageModel, ids: Sequence[int], *, press: str, kept: int, exempt: int = 0
) -> KVState:
    """Read a sequence and keep some of its entries, others in each layer and head.

    Args:
        lm: the model; is left as it was.
        ids: `exempt` ids, and the context behind them.
        press: of `PRESSES`.
        kept: entries kept of the context; fewer than it has tokens.
        exempt: entries in front that are kept besides.

    Raises:
        ContextTooLong: more positions than the model has.
        OutOfMemory: more memory than there is, foreseen.
    """
    tokens = len(ids)
    lm.reserve(tokens, entries=tokens, new_tokens=tokens, batch=1)
    # kvpress rounds down; the half keeps it from a float that is just below the number.
    made = _made(press, ratio=1 - (exempt + kept + 0.5) / tokens, kept=kept, exempt=exempt)
    positions = torch.arange(tokens, device=lm.model.device)
    cache = DynamicCache()
    with torch.random.fork_rng(), _as_it_was(lm.model), made(lm.model):
        torch.manual_seed(0)  # some presses draw
        lm.model(
            input_ids=lm.ids([list(ids)]),
            position_ids=positions[None],
            cache_position=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    state = KVState(cache, tokens)
    assert state.entries == exempt + kept, f"{press} kept {state.entries} entries"
    return state


def _made(press: str, *, ratio: float, kept: int, exempt: int) -> Any:
    """Return a press that keeps the first `exempt` entries, whatever it thinks of them."""
    kind = getattr(_kvpress(), PRESSES[press])
    sizes = {field.name: field.default for field in fields(kind) if type(field.default) is int}
    given: dict[str, Any] = {"compression_ratio": ratio}
    if exempt and "n_sink" in sizes:
        given["n_sink"] = max(sizes["n_sink"], exempt)  # its own word for it
    if "window_size" in sizes:
        # It keeps its whole window: at a small budget that would be all that it keeps.
        given["window_size"] = min(sizes["window_size"], max(1, kept // 2))
    made = kind(**given)
    score = made.score

    def exempted(*arguments: Any) -> torch.Tensor:
        scores: torch.Tensor = score(*arguments)  # (batch, kv_heads, entries)
        scores[..., :exempt] = torch.inf
        return scores

    made.score = exempted
    return made


@contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    """Remove the modules that a press leaves in the attention layers."""
    attention = [layer.self_attn for layer in model.model.layers]
    had = [set(each._modules) for each in attention]
    try:
        yield
    finally:
        for each, names in zip(attention, had, strict=True):
            for name in set(each._modules) - names:
                delattr(each, name)


def _kvpress() -> Any:
    """Import kvpress, and leave transformers' attention as it is without it."""
    functions = dict(ALL_ATTENTION_FUNCTIONS.items())
    import kvpress

    for name, function in functions.items():
        ALL_ATTENTION_FUNCTIONS[name] = function
    return kvpress
