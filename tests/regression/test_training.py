"""Training on packed questions: one context is read once for all, which is what packing saves."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.regression.conftest import CheckRatio
from tests.support.allocations import peak_allocated_bytes

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from gist.models.model import LanguageModel

CONTEXT_TOKENS, GISTS, QUESTIONS = 2048, 128, 8
QUESTION_TOKENS, ANSWER_TOKENS = 12, 8
Work = Callable[[], object]
Steps = Callable[..., Work]


@pytest.fixture
def steps(bench_model: "LanguageModel") -> Iterator[Steps]:
    """Make the work of a training step on some contexts with so many questions each."""
    import torch
    from torch.nn import functional as F

    from gist.adapter import added
    from gist.collator import Example, PackedCollator
    from gist.embedding import first_gist_id
    from gist.layout import GistPlan
    from gist.lora import LoraOptions

    plan = GistPlan(rows=16)
    collator = PackedCollator(bench_model.prompt, first_gist_id(bench_model.model), plan)
    context = tuple(i % 250 + 3 for i in range(CONTEXT_TOKENS))
    pair = (context[:QUESTION_TOKENS], context[:ANSWER_TOKENS])
    with added(bench_model.model, plan, LoraOptions(8, 16), seed=0) as adapted:
        learning = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learning)

        def make(*, questions: int, contexts: int = 1) -> Work:
            batch = collator([Example(context, (pair,) * questions, GISTS)] * contexts)
            labels = batch.pop("shift_labels")  # (contexts, kept)
            batch.pop("answers")

            def step() -> None:
                logits = adapted(**batch, use_cache=False).logits  # (contexts, kept, vocabulary)
                F.cross_entropy(logits.flatten(0, 1), labels.flatten()).backward()
                optimizer.step()

            return step

        yield make


def test_packing_trains_on_five_times_as_many_questions_per_second(
    benchmark: "BenchmarkFixture", check_ratio: CheckRatio, steps: Steps
) -> None:
    """Eight questions on 2,048 tokens take at most 8 / 5 of the time of one question."""
    packed, single = steps(questions=QUESTIONS), steps(questions=1)
    check_ratio("train 8 packed questions / 1", packed, single)
    benchmark.pedantic(packed, rounds=3)


def test_packing_needs_no_more_memory(
    record_property: Callable[[str, object], None], steps: Steps
) -> None:
    """Eight packed questions hold less than two sequences of one question, let alone eight."""
    packed, one, two = (
        peak_allocated_bytes(steps(**sizes))
        for sizes in (
            {"questions": QUESTIONS},
            {"questions": 1},
            {"questions": 1, "contexts": 2},
        )
    )
    record_property("packed / one", packed / one)
    record_property("packed / two", packed / two)
    print(f"peak of 8 packed questions: {packed / one:.2f} of 1, {packed / two:.2f} of 2 sequences")
    assert packed < two
