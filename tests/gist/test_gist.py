"""Compressing, slicing and asking equals one masked pass; and what is dropped is gone."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache, MistralConfig

from gist.adapter import added
from gist.caches import entries_of
from gist.collator import IGNORED, Example, PackedCollator
from gist.compress import compress, compress_rows
from gist.decode import ask, read
from gist.forward import TwoPassForward
from gist.layout import BEFORE, CONTEXT, GIST, GistPlan, Placement, Positions, lay_out
from gist.lora import LINEAR, LoraOptions
from gist.masks import packed_mask
from gist.models.architecture import check_supported
from gist.models.fit import kv_bytes_per_entry
from gist.models.model import LanguageModel
from gist.training.checkpointing import checkpointed
from harness.errors import UserError
from tests.support.tiny_models import SHAPE, load_tiny, save_tiny_model

CONTEXT_IDS = tuple(range(10, 50))
QUESTIONS = (((60, 61, 62), (70, 71, 1)), ((63, 64, 65, 66, 67), (72, 1)))
GISTS = 6
# Two contexts of unequal length in one batch; the shorter has one question.
BATCH = (Example(CONTEXT_IDS, QUESTIONS, GISTS), Example(CONTEXT_IDS[:17], QUESTIONS[1:], 3))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each architecture."""
    root = tmp_path_factory.mktemp("architectures")
    return {kind: save_tiny_model(root / kind, kind) for kind in ("llama", "qwen3", "mistral")}


@pytest.fixture(params=["llama", "qwen3", "mistral"])
def tiny_model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> LanguageModel:
    """A tiny model of each architecture in turn, loaded afresh: tests change it."""
    return load_tiny(folders[request.param])


@pytest.fixture(params=["end", "interleaved"])
def placement(request: pytest.FixtureRequest) -> Placement:
    """Either placement of the gists."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["continue", "spread"])
def plan(request: pytest.FixtureRequest, placement: Placement) -> GistPlan:
    """Every combination of placement and positions."""
    positions: Positions = request.param
    return GistPlan(rows=8, placement=placement, positions=positions, segment_tokens=13)


@pytest.fixture
def adapted(tiny_model: LanguageModel, plan: GistPlan) -> Iterator[LanguageModel]:
    """A tiny model in float64 with an adapter whose weights are not zero."""
    with _with_adapter(tiny_model, plan):
        yield tiny_model


@contextmanager
def _with_adapter(lm: LanguageModel, plan: GistPlan) -> Iterator[None]:
    lm.model.double()
    with added(lm.model, plan, LoraOptions(4, 8, LINEAR), seed=1) as peft:
        generator = torch.Generator().manual_seed(3)
        for name, parameter in peft.named_parameters():
            if "lora_B" in name or "gist_gates" in name:
                drawn = torch.randn(parameter.shape, generator=generator)
                parameter.data.copy_(0.1 * drawn)
            parameter.data = parameter.data.double()
        peft.eval()
        yield


def _collator(lm: LanguageModel, plan: GistPlan) -> PackedCollator:
    return PackedCollator(lm.prompt, lm.model.get_input_embeddings().num_embeddings, plan)


def _packed_logits(lm: LanguageModel, plan: GistPlan, *examples: Example) -> torch.Tensor:
    batch = _collator(lm, plan)(examples)
    labels, _ = batch.pop("shift_labels"), batch.pop("answers")
    logits = lm.model(**batch, use_cache=False).logits
    return logits[labels != IGNORED]  # (answer tokens, vocabulary)


def _two_pass_logits(lm: LanguageModel, plan: GistPlan, *examples: Example) -> torch.Tensor:
    """Compress, slice and ask as inference does, one question at a time, but differentiably."""
    rows = []
    for example in examples:
        layout = lay_out(
            lm.prompt.before,
            example.context,
            gists=example.gists,
            first_gist_id=lm.model.get_input_embeddings().num_embeddings,
            plan=plan,
        )
        full = DynamicCache()
        lm.model(
            input_ids=lm.ids([layout.ids]),
            position_ids=lm.ids([layout.positions]),
            attention_mask=lm.ids([[1] * len(layout.ids)]),
            past_key_values=full,
            use_cache=True,
        )
        kept = {BEFORE, GIST} if plan.keep_prefix else {GIST}
        index = torch.tensor([i for i, kind in enumerate(layout.kinds) if kind in kept])
        for question, answer in example.questions:
            cache = DynamicCache(
                [
                    (keys.index_select(2, index), values.index_select(2, index))
                    for keys, values in map(entries_of, full.layers)
                ]
            )
            asked = [*lm.prompt.between, *question, *lm.prompt.after]
            ids = [*asked, *answer[:-1]]
            positions = [layout.next_position + i for i in range(len(ids))]
            logits = lm.model(
                input_ids=lm.ids([ids]), position_ids=lm.ids([positions]), past_key_values=cache
            ).logits
            rows.append(logits[0, len(asked) - 1 :])
    return torch.cat(rows)  # (answer tokens, vocabulary)


def _gradients(lm: LanguageModel, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the gradients of LoRA and gist rows for a loss on every logit."""
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    names, learning = zip(
        *((name, p) for name, p in lm.model.named_parameters() if p.requires_grad), strict=True
    )
    found = torch.autograd.grad((logits * weights.to(logits)).sum(), learning)
    return dict(zip(names, found, strict=True))


def _sliced_logits(lm: LanguageModel, plan: GistPlan, context: tuple[int, ...]) -> torch.Tensor:
    """Compress, slice, and feed question and answer apart."""
    rows = []
    for question, answer in QUESTIONS:
        state = compress(lm, context, gists=GISTS, plan=plan)
        asked = [*lm.prompt.between, *question, *lm.prompt.after]
        ids = [*asked, *answer[:-1]]
        start = state.next_position
        positions = list(range(start, start + len(ids)))
        logits = lm.model(
            input_ids=lm.ids([ids]), position_ids=lm.ids([positions]), past_key_values=state.cache
        ).logits[0, len(asked) - 1 :]
        rows.append(logits)
    return torch.cat(rows)


def test_a_masked_pass_equals_compress_slice_ask(adapted: LanguageModel, plan: GistPlan) -> None:
    """The packed training pass and inference give the same logits."""
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        adapted.model.to(dtype)
        with torch.inference_mode():
            packed = _packed_logits(adapted, plan, Example(CONTEXT_IDS, QUESTIONS, GISTS))
            sliced = _sliced_logits(adapted, plan, CONTEXT_IDS)
        assert packed.dtype == dtype
        assert (packed - sliced).abs().max() <= tolerance
        assert packed.std() > 0.01  # the logits are not all alike


@pytest.mark.parametrize("keep_prefix", [True, False])
def test_training_in_one_pass_has_the_gradients_of_two(
    adapted: LanguageModel, plan: GistPlan, keep_prefix: bool
) -> None:
    """LoRA and gist rows learn what they would from compress, slice, ask; checkpointed or not."""
    plan = replace(plan, keep_prefix=keep_prefix)
    logits = _two_pass_logits(adapted, plan, *BATCH)
    wanted = _gradients(adapted, logits)
    assert {"gist_rows", "lora_A", "lora_B"} <= {part for n in wanted for part in n.split(".")}
    assert all(gradient.abs().max() > 1e-3 for gradient in wanted.values())
    adapted.model.train()
    for way in (nullcontext(), checkpointed(adapted.model)):
        with way:
            packed = _packed_logits(adapted, plan, *BATCH)
        assert (packed - logits).abs().max() <= 1e-9
        found = _gradients(adapted, packed)
        for name, gradient in wanted.items():
            assert (found[name] - gradient).norm() <= 1e-9 * gradient.norm()


def test_gradients_differ_where_questions_see_the_context(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above can fail: it does so under a mask that hides nothing."""
    wanted = _gradients(adapted, _two_pass_logits(adapted, plan, *BATCH))

    def leak(segments: torch.Tensor, **_: bool) -> torch.Tensor:
        return packed_mask(segments, see_context=True)

    monkeypatch.setattr("gist.collator.packed_mask", leak)
    found = _gradients(adapted, _packed_logits(adapted, plan, *BATCH))
    assert all((found[n] - wanted[n]).norm() > 1e-3 * wanted[n].norm() for n in wanted)


def test_models_that_forget_are_refused() -> None:
    """A sliding window would keep neither the context's entries nor every gist's."""
    config = MistralConfig(**SHAPE, sliding_window=64)
    with pytest.raises(UserError, match="sliding window of 64 tokens"):
        check_supported(config, "tiny")
    check_supported(MistralConfig(**SHAPE, sliding_window=None), "tiny")


def test_contexts_of_unequal_size_share_a_batch(adapted: LanguageModel, plan: GistPlan) -> None:
    """Padding changes no logit."""
    examples = (Example(CONTEXT_IDS, QUESTIONS, GISTS), Example(CONTEXT_IDS[:17], QUESTIONS, 3))
    with torch.inference_mode():
        together = _packed_logits(adapted, plan, *examples)
        apart = torch.cat([_packed_logits(adapted, plan, example) for example in examples])
    assert (together - apart).abs().max() <= 1e-9


def test_answers_do_not_see_the_context_but_through_gists(
    adapted: LanguageModel, plan: GistPlan
) -> None:
    """With gist keys and values detached, no gradient reaches the context's embeddings."""
    detached = _context_gradient(adapted, plan, detach=True)
    assert detached == 0.0
    assert _context_gradient(adapted, plan, detach=False) > 0.0


def test_a_mask_that_shows_the_context_is_noticed(adapted: LanguageModel, plan: GistPlan) -> None:
    """The gradient check can fail: it does so when the mask is left off."""
    assert _context_gradient(adapted, plan, detach=True, leak=True) > 0.0


def _context_gradient(
    lm: LanguageModel, plan: GistPlan, *, detach: bool, leak: bool = False
) -> float:
    batch = _collator(lm, plan)([Example(CONTEXT_IDS, QUESTIONS, GISTS)])
    for name in ("shift_labels", "answers"):
        batch.pop(name)
    ids = batch.pop("input_ids")
    layout = lay_out(lm.prompt.before, CONTEXT_IDS, gists=GISTS, first_gist_id=1000, plan=plan)
    gist_columns = [i for i, kind in enumerate(layout.kinds) if kind == GIST]
    context_columns = [i for i, kind in enumerate(layout.kinds) if kind == CONTEXT]
    if leak:
        batch["attention_mask"] = torch.ones_like(batch["attention_mask"]).tril()
    embeddings = lm.model.get_input_embeddings()(ids).detach().requires_grad_()

    def cut(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[:, gist_columns] = output[:, gist_columns].detach()
        return output

    handles = []
    if detach:
        for layer in lm.model.model.layers:
            handles += [
                projection.register_forward_hook(cut)
                for projection in (layer.self_attn.k_proj, layer.self_attn.v_proj)
            ]
    try:
        logits = lm.model(inputs_embeds=embeddings, **batch, use_cache=False).logits
    finally:
        for handle in handles:
            handle.remove()
    # The gists' own rows of the residual stream reach no answer; answers see keys and values.
    (gradient,) = torch.autograd.grad(logits.sum(), embeddings)
    return float(gradient[:, context_columns].abs().max())


def test_poisoned_context_entries_change_no_answer(
    adapted: LanguageModel, plan: GistPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After slicing, no view of the full cache is left: NaN in it changes nothing."""
    import gist.compress as decode

    full = []
    select = decode.select

    def remember(cache: object, index: torch.Tensor) -> object:
        full.append(cache)
        return select(cache, index)  # type: ignore[arg-type]

    monkeypatch.setattr(decode, "select", remember)
    state = compress(adapted, CONTEXT_IDS, gists=GISTS, plan=plan)
    rows = [list(question) for question, _ in QUESTIONS]
    before = ask(adapted, state, rows, max_new_tokens=8)
    with torch.inference_mode():
        for layer in full[0].layers:  # type: ignore[attr-defined]
            layer.keys.fill_(torch.nan)
            layer.values.fill_(torch.nan)
    assert ask(adapted, state, rows, max_new_tokens=8) == before


def test_a_compressed_state_holds_prefix_and_gists_alone(
    adapted: LanguageModel, plan: GistPlan
) -> None:
    """KV entries, and the bytes of the storage behind them, are those of the formula."""
    state = compress(adapted, CONTEXT_IDS, gists=GISTS, plan=plan)
    entries = len(adapted.prompt.before) + GISTS
    assert state.entries == entries
    per_entry = kv_bytes_per_entry(adapted.model.config, torch.float64)
    assert state.held_bytes == entries * per_entry


def test_adding_an_adapter_leaves_the_model_as_it_was(tiny_model: LanguageModel) -> None:
    """After the adapter is unloaded, logits are bit-identical and no module is left over."""
    ids = tiny_model.ids([list(CONTEXT_IDS)])
    names = [name for name, _ in tiny_model.model.named_modules()]
    with torch.inference_mode():
        before = tiny_model.model(ids).logits
        with added(tiny_model.model, GistPlan(rows=4), LoraOptions(rank=4), seed=0):
            pass
        after = tiny_model.model(ids).logits
    assert torch.equal(before, after)
    assert [name for name, _ in tiny_model.model.named_modules()] == names


def test_questions_see_neither_context_nor_each_other() -> None:
    """The mask is the picture in its module's docstring."""
    mask = packed_mask(torch.tensor([[0, 1, 2, 3, 3, 4, 4]]), see_context=False)
    assert mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 0, 1, 1, 0, 0, 0],
        [1, 0, 1, 1, 1, 0, 0],
        [1, 0, 1, 0, 0, 1, 0],
        [1, 0, 1, 0, 0, 1, 1],
    ]


@pytest.mark.parametrize("context_tokens", [1, 12, 13, 200])
@pytest.mark.parametrize("gists", [1, 5, 8])
def test_layouts_keep_every_token_once(plan: GistPlan, context_tokens: int, gists: int) -> None:
    """All context ids in their order, all gists asked for, positions never beyond the next."""
    context = list(range(100, 100 + context_tokens))
    layout = lay_out([7, 8], context, gists=gists, first_gist_id=1000, plan=plan)
    placed = [i for i, kind in zip(layout.ids, layout.kinds, strict=True) if kind == CONTEXT]
    assert placed == context
    assert sum(kind == GIST for kind in layout.kinds) == gists
    assert max(layout.positions) < layout.next_position
    taken = 2 + context_tokens + (gists if plan.positions == "continue" else 0)
    assert layout.next_position == taken


POOL = GistPlan(rows=0, placement="pool")
RESIDUAL = GistPlan(rows=3, placement="residual")


def _kept_logits(lm: LanguageModel, plan: GistPlan, *examples: Example) -> torch.Tensor:
    forward = TwoPassForward(_collator(lm, plan), lm)
    found = forward(lm.model, examples)
    return found.logits[found.labels != IGNORED]  # (answer tokens, vocabulary)


@pytest.fixture(params=[POOL, RESIDUAL], ids=["pool", "residual"])
def means(request: pytest.FixtureRequest) -> GistPlan:
    """A plan whose gists are means, or means and gist tokens."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def pooling(tiny_model: LanguageModel, means: GistPlan) -> Iterator[LanguageModel]:
    """A tiny model in float64 with an adapter that pools."""
    with _with_adapter(tiny_model, means):
        yield tiny_model


def test_checkpointed_passes_have_the_gradients_of_passes_that_keep_all(
    pooling: LanguageModel, means: GistPlan
) -> None:
    """What the second pass asks of the first one's entries reaches the first, layer by layer."""
    logits = _kept_logits(pooling, means, *BATCH)
    wanted = _gradients(pooling, logits)
    assert all(gradient.abs().max() > 1e-4 for gradient in wanted.values())
    pooling.model.train()
    with checkpointed(pooling.model):
        found = _kept_logits(pooling, means, *BATCH)
    assert torch.equal(found, logits)
    for name, gradient in _gradients(pooling, found).items():
        assert (gradient - wanted[name]).norm() <= 1e-9 * wanted[name].norm()


@pytest.mark.parametrize("keep_prefix", [True, False])
def test_two_batched_passes_are_one_packed_pass(
    adapted: LanguageModel, plan: GistPlan, keep_prefix: bool
) -> None:
    """Logits and gradients are the same, whichever way an adapter is trained."""
    plan = replace(plan, keep_prefix=keep_prefix)
    packed, kept = (each(adapted, plan, *BATCH) for each in (_packed_logits, _kept_logits))
    assert (packed - kept).abs().max() <= 1e-9
    wanted, found = _gradients(adapted, packed), _gradients(adapted, kept)
    # Norms compute in float32, and here add up the gradients of `before` in another order.
    assert all((found[n] - wanted[n]).norm() <= 1e-6 * wanted[n].norm() for n in wanted)


def test_training_means_is_compressing_and_asking(pooling: LanguageModel, means: GistPlan) -> None:
    """Padding, batching and packed questions change no logit of pooled entries."""
    with torch.inference_mode():
        trained = _kept_logits(pooling, means, *BATCH)
        asked = [
            _asked_logits(pooling, means, example, question, answer)
            for example in BATCH
            for question, answer in example.questions
        ]
    assert (trained - torch.cat(asked)).abs().max() <= 1e-9
    assert trained.std() > 0.01


def _asked_logits(
    lm: LanguageModel,
    plan: GistPlan,
    example: Example,
    question: tuple[int, ...],
    answer: tuple[int, ...],
) -> torch.Tensor:
    state = compress(lm, example.context, gists=example.gists, plan=plan)
    asked = [*lm.prompt.between, *question, *lm.prompt.after]
    ids = [*asked, *answer[:-1]]
    positions = [state.next_position + i for i in range(len(ids))]
    return lm.model(
        input_ids=lm.ids([ids]), position_ids=lm.ids([positions]), past_key_values=state.cache
    ).logits[0, len(asked) - 1 :]


@pytest.mark.parametrize("means", [POOL], indirect=True)
def test_as_many_means_as_tokens_are_the_full_context(pooling: LanguageModel) -> None:
    """One token to a mean: nothing is lost, and positions are those of the text."""
    whole = replace(BATCH[0], gists=len(CONTEXT_IDS))
    with torch.inference_mode():
        pooled = _kept_logits(pooling, POOL, whole)
        full = _packed_logits(pooling, POOL, replace(whole, gists=0))
    assert (pooled - full).abs().max() <= 1e-9


def test_gradients_reach_an_adapter_that_pools(pooling: LanguageModel, means: GistPlan) -> None:
    """All of it, through what is kept; means alone have nothing but LoRA."""
    found = _gradients(pooling, _kept_logits(pooling, means, *BATCH))
    others = {name.split(".")[2] for name in found if "lora_" not in name}
    assert others == (set() if means == POOL else {"gist_rows", "gist_gates"})
    assert all(gradient.abs().max() > 1e-4 for gradient in found.values())


@pytest.mark.parametrize("means", [RESIDUAL], indirect=True)
def test_closed_gates_leave_means_which_gradients_can_open(pooling: LanguageModel) -> None:
    """A residual starts as the means of the same weights, and does not stay there."""
    (gates,) = (p for n, p in pooling.model.named_parameters() if "gist_gates.modules_to" in n)
    opened = compress(pooling, CONTEXT_IDS, gists=GISTS, plan=RESIDUAL)
    gates.data.zero_()
    closed = compress(pooling, CONTEXT_IDS, gists=GISTS, plan=RESIDUAL)
    means = compress(pooling, CONTEXT_IDS, gists=GISTS, plan=POOL)
    for one, two, other in zip(
        closed.cache.layers, means.cache.layers, opened.cache.layers, strict=True
    ):
        for mine, its, open_ in zip(*map(entries_of, (one, two, other)), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-9)
            assert (open_ - its).abs().max() > 1e-3
    found = _gradients(pooling, _kept_logits(pooling, RESIDUAL, *BATCH))
    assert all(g.abs().max() > 1e-4 for n, g in found.items() if "gist_gates" in n)


def test_gists_that_refine_means_take_turns() -> None:
    """They stand behind the context at the positions of the means, as many as are asked for."""
    layout = lay_out((1, 2), CONTEXT_IDS, gists=7, first_gist_id=100, plan=RESIDUAL)
    plain = lay_out((1, 2), CONTEXT_IDS, gists=7, first_gist_id=100, plan=POOL)
    assert layout.ids == [*plain.ids, 100, 101, 102, 100, 101, 102, 100]
    assert layout.positions == plain.positions + plain.gist_positions
    assert (layout.gist_positions, layout.next_position) == (
        plain.gist_positions,
        plain.next_position,
    )


def test_kept_entries_answer_as_if_nothing_else_had_been_read(tiny_llama: LanguageModel) -> None:
    """Keeping all entries changes no answer; each head may keep its own."""
    lm = tiny_llama
    state = read(lm, CONTEXT_IDS)
    rows = [list(question) for question, _ in QUESTIONS]
    everything = state.keep(range(state.entries))
    assert ask(lm, everything, rows, max_new_tokens=4) == ask(lm, state, rows, max_new_tokens=4)
    layers = state.cache.layers
    heads = entries_of(layers[0])[0].shape[1]
    own = torch.stack(
        [
            torch.stack([torch.arange(3) + layer + 5 * head for head in range(heads)])
            for layer in range(len(layers))
        ]
    )  # (layers, kv_heads, kept)
    kept = state.keep(own)
    assert (kept.entries, kept.next_position) == (3, state.next_position)
    assert kept.held_bytes == state.held_bytes * 3 // state.entries
    for number, (mine, whole) in enumerate(zip(kept.cache.layers, layers, strict=True)):
        for few, all_ in zip(entries_of(mine), entries_of(whole), strict=True):
            for head in range(heads):
                assert torch.equal(few[0, head], all_[0, head, own[number, head]])


def _rows_are_alone(lm: LanguageModel, plan: GistPlan) -> None:
    """Compare contexts of several lengths in one pass with each by itself."""
    contexts = [CONTEXT_IDS, CONTEXT_IDS[:17], CONTEXT_IDS[5:22], CONTEXT_IDS[:4]]
    gists = [GISTS, 3, 2, 1]
    together = compress_rows(lm, contexts, gists=gists, plan=plan)
    for context, count, row in zip(contexts, gists, together, strict=True):
        alone = compress(lm, context, gists=count, plan=plan)
        assert (row.entries, row.next_position) == (alone.entries, alone.next_position)
        assert row.held_bytes == alone.held_bytes
        for mine, its in zip(row.cache.layers, alone.cache.layers, strict=True):
            torch.testing.assert_close(entries_of(mine), entries_of(its))


@pytest.mark.parametrize("keep_prefix", [True, False])
def test_contexts_compressed_together_are_as_each_by_itself(
    adapted: LanguageModel, plan: GistPlan, keep_prefix: bool
) -> None:
    """In one pass with padding: the same entries and positions, and no bytes of the others."""
    _rows_are_alone(adapted, replace(plan, keep_prefix=keep_prefix))


def test_contexts_pooled_together_are_as_each_by_itself(
    pooling: LanguageModel, means: GistPlan
) -> None:
    """Means of a row are of its own tokens, never of padding."""
    _rows_are_alone(pooling, means)
