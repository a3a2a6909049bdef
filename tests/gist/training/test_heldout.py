"""Held-out scores: equal to what answering gives, and able to say that gists carry nothing."""

import numpy as np
import pytest
import torch

from gist.adapter import added
from gist.collator import Example, PackedCollator
from gist.compress import compress
from gist.decode import ask, read
from gist.embedding import first_gist_id
from gist.forward import PackedForward, forward_for
from gist.layout import GistPlan
from gist.lora import LoraOptions
from gist.models.model import LanguageModel
from gist.training.heldout import Scores, gap_recovered, held_out, table, verdict

PLAN = GistPlan(rows=8, segment_tokens=16)


def _answer(lm: LanguageModel, plan: GistPlan, context: tuple[int, ...], gists: int) -> list[int]:
    """Return what the model answers to a question, by compressing, slicing and asking."""
    if gists:
        state = compress(lm, context, gists=gists, plan=plan)
    else:
        state = read(lm, [*lm.prompt.before, *context])
    row = [*lm.prompt.between, *lm.tokenizer.encode("Which?"), *lm.prompt.after]
    return ask(lm, state, [row], max_new_tokens=3, min_new_tokens=3)[0][:3]


@pytest.mark.parametrize("keep_prefix", [True, False])
def test_scores_are_those_of_greedy_answers(tiny_llama: LanguageModel, keep_prefix: bool) -> None:
    """What compress-slice-ask answers is right in a packed pass; anything else is wrong."""
    lm, plan = tiny_llama, GistPlan(rows=8, segment_tokens=16, keep_prefix=keep_prefix)
    contexts = [
        tuple(lm.tokenizer.encode(f"The {word} is here, {word}.")) for word in ("key", "hat")
    ]
    question = tuple(lm.tokenizer.encode("Which?"))
    forward = PackedForward(PackedCollator(lm.prompt, first_gist_id(lm.model), plan))
    with added(lm.model, plan, LoraOptions(rank=4), seed=3) as adapted:
        for gists, way in ((4, "gist"), (0, "full_on")):
            answers = [tuple(_answer(lm, plan, context, gists)) for context in contexts]
            right = [Example(c, ((question, a),)) for c, a in zip(contexts, answers, strict=True)]
            wrong = [
                Example(c, ((question, (*a[:2], a[2] ^ 1)),))
                for c, a in zip(contexts, answers, strict=True)
            ]
            for examples, expected in ((right, 1.0), (wrong, 0.0)):
                held = held_out(examples, forward, batch_tokens=4096)
                scores = held.ask(adapted, way, tokens=gists or None)
                assert scores.right.tolist() == [expected] * 2


def test_shuffled_gists_are_of_another_document(tiny_llama: LanguageModel) -> None:
    """Every way of asking gives its own score; the context matters where it is read."""
    lm = tiny_llama
    examples = [
        Example(tuple(lm.tokenizer.encode(f"The key is {n * 7919}.")), (((5, 6), (7, n + 3, 1)),))
        for n in range(4)
    ]
    forward = PackedForward(PackedCollator(lm.prompt, first_gist_id(lm.model), PLAN))
    with added(lm.model, PLAN, LoraOptions(rank=4), seed=3) as adapted:
        held = held_out(examples, forward, batch_tokens=600)
        ways = ("gist", "swapped", "closed_book_on", "closed_book", "full", "full_on")
        scores = {way: held.ask(adapted, way, tokens=2) for way in ways}
    assert all(score.bits.shape == (4,) for score in scores.values())
    assert not np.allclose(scores["gist"].bits, scores["swapped"].bits)
    assert not np.allclose(scores["full"].bits, scores["closed_book"].bits)
    # LoRA starts at zero, so that on and off are the same before training.
    assert np.allclose(scores["closed_book"].bits, scores["closed_book_on"].bits, atol=1e-3)
    # Neighbours in a batch and padding change nothing.
    alone = held_out(examples[:1] * 2, forward, batch_tokens=1)
    with added(lm.model, PLAN, LoraOptions(rank=4), seed=3) as adapted:
        bits = alone.ask(adapted, "gist", tokens=2).bits[0]
    assert bits == pytest.approx(scores["gist"].bits[0], abs=1e-2)


def test_gists_that_carry_nothing_are_said_so() -> None:
    """No better than those of another document; or better, and still of no use."""
    rng = np.random.default_rng(0)
    low, high = rng.uniform(2.0, 4.0, 40), rng.uniform(6.0, 9.0, 40)
    higher = high + rng.uniform(0.0, 0.5, 40)

    def scores(**given: np.ndarray) -> dict[str, Scores]:
        return {name: Scores(np.zeros(40), bits, np.full(40, 2)) for name, bits in given.items()}

    assert verdict(scores(gist=low, swapped=high, closed_book_on=high)) is None
    ignored = verdict(scores(gist=high, swapped=high, closed_book_on=higher))
    assert ignored is not None
    nats = high.mean() / 2 * np.log(2)
    assert ignored.startswith(
        f"the model ignores its gists: the held-out answer loss is {nats:.2f} nats, "
        f"with another document's gists {nats:.2f}"
    )
    early = verdict(scores(gist=high, swapped=higher, closed_book_on=high))
    assert early is not None
    assert early.startswith(f"the task is not learnt yet: the held-out answer loss is {nats:.2f}")


def test_the_gap_is_that_of_the_answer_loss() -> None:
    """From no document to full context; without a gap there is no share of it."""
    none, own, full = (
        Scores(np.zeros(3), np.array(bits), np.array([1, 2, 4]))
        for bits in ([9.0, 14.0, 33.0], [5.0, 9.0, 14.0], [1.0, 2.0, 4.0])
    )
    assert full.nats == pytest.approx(np.log(2))
    assert gap_recovered(own, none, full) == pytest.approx((8 - 4) / (8 - 1))
    assert gap_recovered(own, none, none) is None


def test_pooled_gists_are_scored_as_answering_gives_them(tiny_llama: LanguageModel) -> None:
    """What compress-and-ask answers is right in two passes; anything else is wrong."""
    lm, plan = tiny_llama, GistPlan(rows=0, placement="pool")
    contexts = [
        tuple(lm.tokenizer.encode(f"The {word} is here, {word * size}."))
        for size, word in ((1, "key"), (4, "hat"))
    ]
    question = tuple(lm.tokenizer.encode("Which?"))
    with added(lm.model, plan, LoraOptions(rank=4), seed=3) as adapted:
        answers = [tuple(_answer(lm, plan, context, 4)) for context in contexts]
        examples = [Example(c, ((question, a),)) for c, a in zip(contexts, answers, strict=True)]
        held = held_out(examples, forward_for(lm, plan), batch_tokens=4096)
        assert held.ask(adapted, "gist", tokens=4).right.tolist() == [1.0] * 2


def test_the_table_leaves_out_a_gap_that_is_not_there(tiny_llama: LanguageModel) -> None:
    """A model that does no better with the document than without has no gap to recover."""
    lm = tiny_llama
    examples = [
        Example(tuple(lm.tokenizer.encode("word " * size)), (((5, 6), (7, 3, 1)),))
        for size in (3, 3, 30, 30)
    ]
    forward = PackedForward(PackedCollator(lm.prompt, first_gist_id(lm.model), PLAN))
    with added(lm.model, PLAN, LoraOptions(rank=4), seed=3) as adapted:
        held = held_out(examples, forward, batch_tokens=2048)
        rows = table(adapted, held, ratios=(8.0,), tokens=(2,))
    assert [(row["gists"], row["context_tokens"], row["contexts"]) for row in rows] == [
        ("ratio=8", "9-16", 2),
        ("ratio=8", "129-256", 2),
        ("tokens=2", "9-16", 2),
        ("tokens=2", "129-256", 2),
    ]
    assert all(row["gap_recovered"] is None for row in rows)


def test_scoring_leaves_training_as_it_was(tiny_llama: LanguageModel) -> None:
    """The model stays in training mode and no gradient is left."""
    lm = tiny_llama
    forward = PackedForward(PackedCollator(lm.prompt, first_gist_id(lm.model), PLAN))
    example = Example(tuple(lm.tokenizer.encode("The key is 5.")), (((5, 6), (7, 3, 1)),))
    with added(lm.model, PLAN, LoraOptions(rank=4), seed=3) as adapted:
        adapted.train()
        state = torch.get_rng_state()
        held_out([example] * 2, forward, batch_tokens=600).ask(adapted, "full")
        assert adapted.training
        assert torch.equal(state, torch.get_rng_state())
        assert all(p.grad is None for p in adapted.parameters())
