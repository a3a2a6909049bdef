"""The backend kvpress beside kvpress itself. `make test-all` installs that package."""

import warnings
from typing import Any

import pytest
import torch
from transformers import DynamicCache

from backends.kvpress import KVPress
from gist import eviction
from gist.caches import entries_of
from gist.decode import KVState, read
from gist.models.model import LanguageModel
from harness.errors import NotReady

CONTEXT = "The amber harp is in hall 7. The red cup is in hall 4. A boat left. " * 3


def test_a_package_that_is_missing_leaves_the_backend_out(
    tiny_llama: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line that says what to type."""
    monkeypatch.setattr(eviction, "find_spec", lambda _: None)
    with pytest.raises(NotReady, match="pip install --no-deps kvpress==") as refused:
        KVPress(tiny_llama)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("press", ["adakv", "pyramidkv", "think", "kvzip", "SnapKVPress"])
def test_a_press_that_does_not_cut_all_heads_alike_is_refused_by_name(
    tiny_llama: LanguageModel, press: str
) -> None:
    """Before anything is installed or read."""
    with pytest.raises(ValueError, match=f"press={press} .*Allowed: snapkv"):
        KVPress(tiny_llama, press=press)


@pytest.fixture
def kvpress() -> Any:
    """The package, or the test is skipped."""
    if eviction.missing():
        pytest.skip(eviction.missing())
    return eviction._kvpress()


def pipeline_cache(kvpress: Any, lm: LanguageModel, made: Any) -> tuple[list[int], DynamicCache]:
    """Return the ids that kvpress's pipeline reads of the context, and what it keeps of them.

    It is given `cache_position`, without which it fails with this version of transformers.
    """
    read_ids: list[int] = []

    def add(_module: Any, _args: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        tokens = options["input_ids"].shape[1]
        if not read_ids:
            read_ids.extend(options["input_ids"][0].tolist())
        past = options["past_key_values"].get_seq_length()
        return _args, {**options, "cache_position": torch.arange(past, past + tokens)}

    cache = DynamicCache()
    handle = lm.model.model.register_forward_pre_hook(add, with_kwargs=True)
    try:
        pipeline = kvpress.KVPressTextGenerationPipeline(lm.model, tokenizer=lm.tokenizer.inner)
        pipeline(CONTEXT, question="Where?", press=made, cache=cache, max_new_tokens=1)
    finally:
        handle.remove()
    return read_ids, cache


@pytest.mark.parametrize("press", [name for name in eviction.PRESSES if name != "random"])
def test_the_entries_are_those_that_its_own_pipeline_keeps(
    kvpress: Any, tiny_model: LanguageModel, press: str
) -> None:
    """In every layer and head, where nothing is exempt."""
    made = getattr(kvpress, eviction.PRESSES[press])(compression_ratio=0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ids, cache = pipeline_cache(kvpress, tiny_model, made)
    kept = cache.get_seq_length()
    assert kept == int(len(ids) * 0.75)
    state = eviction.read_pressed(tiny_model, ids, press=press, kept=kept)
    for own, theirs in zip(state.cache.layers, cache.layers, strict=True):
        for found, expected in zip(entries_of(own), entries_of(theirs), strict=True):
            assert torch.equal(_in_order(found), _in_order(expected))


def _in_order(entries: torch.Tensor) -> torch.Tensor:
    """Return a tensor with each head's entries in the order of their first numbers."""
    order = entries[..., :1].argsort(dim=2).expand_as(entries)
    return entries.gather(2, order)  # (1, kv_heads, entries, head_dim)


@pytest.mark.parametrize("tokens", [1, 7, 60])
@pytest.mark.parametrize("press", eviction.PRESSES)
def test_what_stands_in_front_is_kept_and_the_budget_of_the_context_too(
    kvpress: Any, tiny_model: LanguageModel, press: str, tokens: int
) -> None:
    """`before` is not paid from the budget, and what is held is as small as it is said to be."""
    assert kvpress
    before = tiny_model.prompt.before
    context = KVPress(tiny_model, press=press, tokens=tokens).prepare(CONTEXT)
    assert isinstance(context.state, KVState)
    assert (context.context_entries, context.state.entries) == (tokens, len(before) + tokens)
    front = read(tiny_model, before)
    assert context.held_bytes * len(before) == front.held_bytes * (len(before) + tokens)
    for layer, own in zip(context.state.cache.layers, front.cache.layers, strict=True):
        for kept, expected in zip(entries_of(layer), entries_of(own), strict=True):
            apart = expected[..., None, :] - kept[:, :, None]  # (1, kv_heads, before, kept, dim)
            distances = apart.abs().amax(dim=-1).amin(dim=-1)  # (1, kv_heads, before)
            assert float(distances.max()) < 1e-3


def test_the_model_and_transformers_are_left_as_they_were(
    kvpress: Any, tiny_llama: LanguageModel
) -> None:
    """No module stays in a layer, no hook, and attention is transformers' own."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    assert kvpress
    names = [name for name, _ in tiny_llama.model.named_modules()]
    KVPress(tiny_llama, tokens=9).prepare(CONTEXT)
    assert [name for name, _ in tiny_llama.model.named_modules()] == names
    assert not any(layer.self_attn._forward_hooks for layer in tiny_llama.model.model.layers)
    assert "kvpress" not in ALL_ATTENTION_FUNCTIONS["sdpa"].__module__
