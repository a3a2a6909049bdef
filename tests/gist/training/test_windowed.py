"""A training in windows, and in gists of gists, computes what answering computes."""

from collections.abc import Iterator
from itertools import accumulate, pairwise

import pytest
import torch

from gist.collator import IGNORED, Example, Windows, uncompressed
from gist.decode import KVState
from gist.forward import TwoPassForward, forward_for
from gist.hierarchy import FAN_IN, condense
from gist.layout import GistPlan
from gist.models.model import LanguageModel
from gist.training.checkpointing import checkpointed
from gist.training.windowed import cut_windows, in_windows
from gist.windows import compress_segments, join
from tests.support.tiny_adapter import speaking_adapter

QUESTIONS = (((60, 61, 62), (70, 71, 1)), ((63, 64), (72, 1)))
LONG = Example(tuple(range(10, 130)), QUESTIONS, gists=20)
SHORT = Example(tuple(range(30, 75)), QUESTIONS[:1], gists=9)
PLANS = (
    GistPlan(rows=8, segment_tokens=13),
    GistPlan(rows=12, placement="end", positions="continue", keep_prefix=False),
    GistPlan(rows=0, placement="pool"),
    GistPlan(rows=3, placement="residual"),
)
TEXT = "Ann keeps bees. Her neighbour, in a far valley, has never liked them much. Why? " * 6


@pytest.fixture(params=PLANS, ids=["interleaved", "end", "pool", "residual"])
def plan(request: pytest.FixtureRequest) -> GistPlan:
    """Every placement."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def adapted(tiny_model: LanguageModel, plan: GistPlan) -> Iterator[LanguageModel]:
    """Either tiny model in float64, with an adapter that changes what it says."""
    with speaking_adapter(tiny_model, plan) as peft:
        peft.double()
        yield tiny_model


def windowed(example: Example, size: int, plan: GistPlan, *, twice: bool) -> Example:
    """Return an example in windows of `size` tokens."""
    ids = example.context
    windows = [ids[start : start + size] for start in range(0, len(ids), size)]
    return in_windows(example, windows, plan, twice=twice)


def answered(lm: LanguageModel, plan: GistPlan, example: Example) -> torch.Tensor:
    """Return the logits of the answers' tokens, as a backend computes them."""
    windows = example.windows
    assert windows
    ends = pairwise(accumulate(windows.tokens, initial=0))
    pieces = [example.context[start:end] for start, end in ends]
    segments = compress_segments(lm, pieces, windows.gists, plan)
    if windows.condensed:
        segments = condense(lm, segments, fan_in=FAN_IN, gists=windows.condensed, plan=plan)
    rows = []
    for question, answer in example.questions:
        state: KVState = join(lm, segments.prefix, segments.parts)
        assert state.entries == segments.prefix.entries + example.gists
        asked = [*lm.prompt.between, *question, *lm.prompt.after]
        ids = [*asked, *answer[:-1]]
        positions = list(range(state.next_position, state.next_position + len(ids)))
        with torch.inference_mode():
            logits = lm.model(
                input_ids=lm.ids([ids]),
                position_ids=lm.ids([positions]),
                past_key_values=state.cache,
            ).logits
        rows.append(logits[0, len(asked) - 1 :])
    return torch.cat(rows)  # (answer tokens, vocabulary)


def trained(lm: LanguageModel, plan: GistPlan, *examples: Example) -> torch.Tensor:
    """Return the logits of the answers' tokens, as training computes them, row by row."""
    found = forward_for(lm, plan, windows=True)(lm.model, examples)
    order = [found.answers == number for number in found.answers.unique() if number != IGNORED]
    return torch.cat([found.logits[where] for where in order])


def levels(plan: GistPlan) -> tuple[bool, ...]:
    """Return whether gists of gists exist too: means have none."""
    return (False,) if plan.pools else (False, True)


def test_training_in_windows_predicts_what_answering_does(
    adapted: LanguageModel, plan: GistPlan
) -> None:
    """A batch of contexts with four windows and with two, joined or condensed and joined."""
    for twice in levels(plan):
        batch = [windowed(each, 32, plan, twice=twice) for each in (LONG, SHORT)]
        with torch.inference_mode():
            mine = trained(adapted, plan, *batch)
        theirs = torch.cat([answered(adapted, plan, each) for each in batch])
        # The angles of positions are float32 in every model.
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
        assert mine.std() > 0.01  # the logits are not all alike


def test_answers_teach_what_reads_the_windows(adapted: LanguageModel, plan: GistPlan) -> None:
    """Every trained part gets a gradient through joining, checkpointed or not."""
    for twice in levels(plan):
        batch = [windowed(each, 32, plan, twice=twice) for each in (LONG, SHORT)]
        learning = {n: p for n, p in adapted.model.named_parameters() if p.requires_grad}
        logits = trained(adapted, plan, *batch)
        wanted = torch.autograd.grad(logits.square().sum(), list(learning.values()))
        for name, gradient in zip(learning, wanted, strict=True):
            assert gradient.abs().max() > 0, name
        adapted.model.train()
        with checkpointed(adapted.model):
            again = trained(adapted, plan, *batch)
            found = torch.autograd.grad(again.square().sum(), list(learning.values()))
        adapted.model.eval()
        for one, other in zip(found, wanted, strict=True):
            assert (one - other).norm() <= 1e-9 * other.norm()


def test_no_gradient_reaches_a_window_past_its_gists(
    adapted: LanguageModel, plan: GistPlan
) -> None:
    """Cut off at what is kept, answers teach reading nothing but the question."""
    forward = forward_for(adapted, plan, windows=True)
    assert isinstance(forward, TwoPassForward)
    batch = [windowed(LONG, 32, plan, twice=levels(plan)[-1])]
    read: list[torch.Tensor] = []

    def remember(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        read.append(output.detach().requires_grad_())
        return read[-1]

    with adapted.model.get_input_embeddings().register_forward_hook(remember):
        kept = forward.read(adapted.model, batch)
        passes = len(read)
        logits = forward.ask(adapted.model, batch, kept.detached()).logits
    cut = torch.autograd.grad(logits.sum(), read[:passes], allow_unused=True)
    assert all(gradient is None for gradient in cut)


def test_the_teacher_reads_the_whole_context() -> None:
    """Without gists there are no windows: the model with full context is the same."""
    plain = uncompressed(windowed(LONG, 32, PLANS[0], twice=True))
    assert plain == Example(LONG.context, LONG.questions)


def test_windows_are_whole_sentences_and_lose_nothing(tiny_llama: LanguageModel) -> None:
    """Their texts together are the context; only a window of one sentence may be too long."""
    encode = tiny_llama.tokenizer.encode
    for size in (1, 200, 10_000):
        windows = cut_windows(TEXT, size, encode)
        texts = [tiny_llama.tokenizer.decode(list(window)) for window in windows]
        assert " ".join(texts).split() == TEXT.split()
        assert all(text.strip()[-1] in ".?" for text in texts)
        if size > 1:
            assert max(map(len, windows)) <= size
    assert len(cut_windows(TEXT, 1, encode)) == 18
    assert len(cut_windows(TEXT, 10_000, encode)) == 1


@pytest.mark.parametrize("twice", [False, True])
def test_every_window_has_a_gist(twice: bool) -> None:
    """However few are asked for; and the first level of two keeps more than the second."""
    example = windowed(Example(LONG.context, QUESTIONS, gists=1), 32, PLANS[0], twice=twice)
    assert example.windows == Windows(
        tokens=(32, 32, 32, 24),
        gists=(8, 8, 8, 6) if twice else (1, 1, 1, 1),
        condensed=(2, 2) if twice else (),
    )
    assert example.gists == 4
