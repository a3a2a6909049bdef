"""Each check holds on a sound adapter, and each planted fault turns its check red."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from transformers import DynamicCache

import gist.caches
import gist.collator
import gist.compress
from gist import validity as checks
from gist.adapter import added
from gist.collator import Example
from gist.decode import KVState
from gist.forward import Kept, TwoPassForward, forward_for
from gist.gradients import MaskCheck, mask_blocks
from gist.layout import GistPlan
from gist.lora import LoraOptions
from gist.masks import packed_mask
from gist.models.model import LanguageModel
from gist.training.checkpointing import checkpointed
from harness.errors import UserError
from tests.support.tiny_adapter import speaking_adapter

QUESTIONS = (((60, 61, 62), (70, 71, 1)), ((63, 64, 65, 66, 67), (72, 1)))
EXAMPLE = Example(tuple(range(10, 60)), QUESTIONS, gists=6, snippets=(((12, 13), (14, 15)),))
SHORTER = Example(tuple(range(80, 97)), QUESTIONS, gists=3)
PLANS = (
    GistPlan(rows=8, segment_tokens=13),
    GistPlan(rows=8, placement="end", positions="continue"),
    GistPlan(rows=8, segment_tokens=13, keep_prefix=False),
    GistPlan(rows=0, placement="pool"),
    GistPlan(rows=3, placement="residual"),
)


TOKENS = pytest.mark.parametrize("plan", PLANS[:3], indirect=True)  # a mask, or a cache is sliced


@pytest.fixture(params=PLANS, ids=["interleaved", "end", "no prefix", "pool", "residual"])
def plan(request: pytest.FixtureRequest) -> GistPlan:
    """Placements, positions, and what is kept in front."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def adapted(tiny_model: LanguageModel, plan: GistPlan) -> Iterator[LanguageModel]:
    """Either tiny model with an adapter that changes what it says."""
    with speaking_adapter(tiny_model, plan):
        yield tiny_model


def mask_check(lm: LanguageModel, plan: GistPlan) -> MaskCheck:
    """Return the check for a batch of two contexts that differ in length."""
    return mask_blocks(lm.model, forward_for(lm, plan), [EXAMPLE, SHORTER])


def test_every_check_holds(adapted: LanguageModel, plan: GistPlan) -> None:
    """With the code as it is, in float32."""
    masked = mask_check(adapted, plan)
    assert masked.passed
    assert masked.context_tokens == len(EXAMPLE.context) + len(SHORTER.context)
    alike = checks.single_pass(adapted, plan, EXAMPLE)
    assert alike.passed
    assert (alike.tokens, alike.agreeing) == (6, 6)  # 3 + 2 of the answers, and one alone
    clean = checks.poison(adapted, plan, EXAMPLE)
    assert clean.passed
    counted = checks.entries(adapted, plan, EXAMPLE)
    assert counted.passed
    assert counted.before == (len(adapted.prompt.before) if plan.keep_prefix else 0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_pass_equals_answering_in_other_dtypes(
    adapted: LanguageModel, plan: GistPlan, dtype: torch.dtype
) -> None:
    """Within the rounding of each, and the limit says which it was."""
    adapted.model.to(dtype)
    alike = checks.single_pass(adapted, plan, EXAMPLE)
    assert alike.dtype is dtype
    assert alike.passed
    assert alike.limit == checks.LIMITS[dtype] * alike.scale


def test_the_mask_is_checked_under_autocast_too(adapted: LanguageModel, plan: GistPlan) -> None:
    """Where training computes in bfloat16, nothing is still exactly nothing."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert mask_check(adapted, plan).passed


def test_the_check_of_the_mask_leaves_training_as_it_was(tiny_llama: LanguageModel) -> None:
    """Gradients, modes and what is trained; under gradient checkpointing and PEFT's wrapper."""
    plan = PLANS[0]
    with added(tiny_llama.model, plan, LoraOptions(rank=4), seed=1) as peft:
        peft.train()
        tiny_llama.model.lm_head.eval()
        trained = [parameter for parameter in peft.parameters() if parameter.requires_grad]
        trained[0].grad = torch.full_like(trained[0], 3.0)
        modes = [module.training for module in peft.modules()]
        with checkpointed(peft):
            assert mask_blocks(peft, forward_for(tiny_llama, plan), [EXAMPLE]).passed
        assert [module.training for module in peft.modules()] == modes
        assert [p for p in peft.parameters() if p.requires_grad] == trained
        assert torch.equal(trained[0].grad, torch.full_like(trained[0], 3.0))
        assert all(parameter.grad is None for parameter in trained[1:])


def test_attention_that_cannot_be_looked_at_is_refused(tiny_llama: LanguageModel) -> None:
    """Eager attention adds a boolean mask and hides nothing: it is refused, not passed."""
    with added(tiny_llama.model, PLANS[0], LoraOptions(rank=4), seed=1):
        tiny_llama.model.set_attn_implementation("eager")
        with pytest.raises(UserError, match="0 of 2 layers"):
            mask_check(tiny_llama, PLANS[0])


def test_examples_are_cut_to_a_piece_that_is_compressed_alike() -> None:
    """A batch of training is as large as memory; a check takes a piece with the same ratio."""
    answer = tuple(range(20))
    long = Example(tuple(range(1000)), (((1,), answer),) * 5, gists=100)
    short = checks.shortened(long, GistPlan(rows=64))
    assert short.context == long.context[: checks.CONTEXT_TOKENS]
    assert short.gists == round(checks.CONTEXT_TOKENS / 10)
    assert short.questions == (((1,), answer[: checks.ANSWER_TOKENS]),) * checks.QUESTIONS


# Planted faults


def unmasked(segments: torch.Tensor, *, see_context: bool, see_before: bool = True) -> torch.Tensor:
    """Let the questions see the context."""
    del see_context
    return packed_mask(segments, see_context=True, see_before=see_before)


def added_to_scores(segments: torch.Tensor, **options: bool) -> torch.Tensor:
    """Return the mask as 0 and 1: attention adds it, and hides nothing."""
    return packed_mask(segments, **options).float()


def seeing_each_other(segments: torch.Tensor, **options: bool) -> torch.Tensor:
    """Let a question see the one before it."""
    mask = packed_mask(segments, **options)
    asked = segments >= 3
    return mask | (asked[:, None, :, None] & asked[:, None, None, :]).tril()


@TOKENS
@pytest.mark.parametrize("fault", [unmasked, added_to_scores])
def test_a_mask_that_hides_nothing_is_noticed(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    """By the gradient, which is then not zero, and by the logits."""
    monkeypatch.setattr(gist.collator, "packed_mask", fault)
    masked = mask_check(adapted, plan)
    assert not masked.passed
    assert masked.cut > 0
    assert not checks.single_pass(adapted, plan, EXAMPLE).passed


def test_questions_that_see_each_other_are_noticed(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answering asks each alone, so the logits differ."""
    monkeypatch.setattr(gist.collator, "packed_mask", seeing_each_other)
    assert not checks.single_pass(adapted, plan, EXAMPLE).passed


@TOKENS
def test_a_mask_that_hides_the_gists_is_noticed(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient of zero says nothing when the context reaches no answer at all."""

    def blind(segments: torch.Tensor, **options: bool) -> torch.Tensor:
        mask = packed_mask(segments, **options)
        asked, gists = segments >= 3, segments == 2
        return mask & ~(asked[:, None, :, None] & gists[:, None, None, :])

    monkeypatch.setattr(gist.collator, "packed_mask", blind)
    masked = mask_check(adapted, plan)
    assert (masked.cut, masked.whole) == (0.0, 0.0)
    assert not masked.passed


Select = Callable[[DynamicCache, torch.Tensor], DynamicCache]


def keep_all(cache: DynamicCache, index: torch.Tensor) -> DynamicCache:
    """Keep every entry."""
    del index
    return cache


def keep_views(cache: DynamicCache, index: torch.Tensor) -> DynamicCache:
    """Keep the right number of entries, as a view of the storage that holds them all."""
    layers: list[Any] = cache.layers
    for layer in layers:
        for tensor in (layer.keys, layer.values):
            tensor[:, :, : index.shape[1]] = tensor.index_select(2, index[0])
        layer.keys = layer.keys[:, :, : index.shape[1]]
        layer.values = layer.values[:, :, : index.shape[1]]
    return cache


@TOKENS
@pytest.mark.parametrize("fault", [keep_all, keep_views])
def test_a_cache_that_is_not_sliced_is_noticed(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch, fault: Select
) -> None:
    """NaN reaches the answers, and more bytes are held than the entries need."""
    monkeypatch.setattr(gist.compress, "select", fault)
    clean = checks.poison(adapted, plan, EXAMPLE)
    assert not clean.passed
    assert clean.identical == 0
    assert clean.held_bytes > clean.expected_bytes


@TOKENS
def test_entries_that_should_have_gone_are_noticed(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their number, and by the logits: questions see the context."""
    monkeypatch.setattr(gist.compress, "select", keep_all)
    assert not checks.entries(adapted, plan, EXAMPLE).passed
    assert not checks.single_pass(adapted, plan, EXAMPLE).passed


@TOKENS
def test_one_layer_that_keeps_more_is_noticed(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every layer is counted."""
    select = gist.caches.select

    def uneven(cache: DynamicCache, index: torch.Tensor) -> DynamicCache:
        chosen = select(cache, index)
        chosen.layers[1] = cache.layers[1]
        return chosen

    monkeypatch.setattr(gist.compress, "select", uneven)
    assert not checks.entries(adapted, plan, EXAMPLE).passed


def test_positions_that_start_again_are_noticed(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions at the cache's length, and not where the text ended, are not as in training."""
    compress = gist.compress.compress

    def restarted(lm: LanguageModel, context: Sequence[int], **options: Any) -> KVState:
        state = compress(lm, context, **options)
        return KVState(state.cache, state.entries)

    monkeypatch.setattr(checks, "compress", restarted)
    alike = checks.single_pass(adapted, plan, EXAMPLE)
    assert not alike.passed
    assert alike.difference > 10 * alike.limit


@pytest.mark.parametrize("plan", PLANS[3:], indirect=True)
def test_a_context_that_is_not_pooled_is_noticed(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries that stay are counted, share their storage unless gists are added, and weigh more."""
    monkeypatch.setattr(gist.compress, "pooled", lambda _model, cache, **_: cache)
    clean = checks.poison(adapted, plan, EXAMPLE)
    assert not clean.passed
    assert plan.rows or not clean.identical
    assert clean.held_bytes > clean.expected_bytes
    assert not checks.entries(adapted, plan, EXAMPLE).passed


@pytest.mark.parametrize("plan", PLANS[3:], indirect=True)
def test_questions_that_see_past_what_is_kept_are_noticed(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked behind entries that are not those handed on, the gradient is not zero."""
    kept = []
    read = TwoPassForward.read

    def remember(*given: Any) -> Kept:
        kept.append(read(*given))
        return kept[-1]

    ask = TwoPassForward.ask
    monkeypatch.setattr(TwoPassForward, "read", remember)
    monkeypatch.setattr(
        TwoPassForward, "ask", lambda self, model, given, _: ask(self, model, given, kept[-1])
    )
    masked = mask_check(adapted, plan)
    assert masked.cut > 0
    assert not masked.passed
