"""What has to hold before a figure of compressed contexts can be believed.

A state that knows its document answers better than one of another document that is asked the same
(own beats swapped), and the other one no better than what can be had without a document: the
question alone, or the answers' prior. Backends are known by their contract alone.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from harness import printing, stats
from harness.api import Backend, PreparedContext, Question, Sample, Suite
from harness.errors import UserError
from harness.stats import Floats, Ints

BATCH = 8  # questions asked at once


@dataclass(frozen=True, slots=True)
class Proof:
    """One property that was checked: what was measured, what it may be, whether it holds."""

    name: str
    measured: str
    limit: str
    passed: bool
    detail: str = ""


def answerable(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with their answerable questions alone.

    Where the context does not hold the answer, every document is as good as another.

    Raises:
        UserError: too few are left for an interval.
    """
    asked = [replace(s, questions=tuple(q for q in s.questions if q.targets)) for s in samples]
    left = [sample for sample in asked if sample.questions]
    different = len({sample.context for sample in left})
    if different < stats.MIN_CONTEXTS:
        raise UserError(
            f"{different} different contexts with answerable questions are too few to compare a "
            f"document's own state with another's. Give {stats.MIN_CONTEXTS} or more."
        )
    return left


def check_swapped(
    open_backend: Callable[[], Backend],
    open_floor: Callable[[], Backend],
    suite: Suite,
    samples: Sequence[Sample],
) -> list[Proof]:
    """Compare each document's own state with another document's, and that with none.

    Args:
        open_backend: builds the backend whose states are checked.
        open_floor: builds the one that reads no context, with the same weights otherwise.
        suite: scores the answers, by its headline metric.
        samples: as `answerable` returns them.

    Raises:
        UserError: no question has the metric.
    """
    with closing(open_backend()) as backend:
        own, swapped = _own_and_swapped(backend, suite, samples)
    with closing(open_floor()) as backend:  # not at once: each may change the model
        floor = _without(backend, suite, samples)
    numbers = [k for k, sample in enumerate(samples) for _ in sample.questions]
    scores = np.stack([own, swapped, floor, _prior(suite, samples)])  # (4, questions)
    known = ~np.isnan(scores).any(axis=0)  # (questions,)
    if not known.any():
        raise UserError(f"no question has the metric {suite.metrics[0]!r}. Give another suite.")
    contexts: Ints = np.array(numbers, dtype=np.int64)[known]
    own, swapped, floor, prior = scores[:, known]
    return judge_swapped(own, swapped, floor, prior, contexts, metric=suite.metrics[0])


def judge_swapped(
    own: Floats, swapped: Floats, floor: Floats, prior: Floats, contexts: Ints, *, metric: str
) -> list[Proof]:
    """Return both proofs from the scores of the same questions, each (n,).

    Contexts that are too few for an interval prove neither.
    """
    gain = stats.difference_estimate(own, swapped, contexts)
    name, without = max(("closed book", floor), ("the prior", prior), key=lambda x: x[1].mean())
    left = stats.difference_estimate(swapped, without, contexts)
    counted = f"{metric} of {gain.n} questions on {gain.contexts} contexts"
    return [
        Proof(
            "own beats swapped",
            f"{own.mean():.2f} - {swapped.mean():.2f} = {printing.interval(gain, signed=True)}",
            "above 0",
            gain.is_above(0),
            f"{counted}: a document's own state, minus another document's asked the same.",
        ),
        Proof(
            "swapped knows nothing",
            f"{swapped.mean():.2f} - {without.mean():.2f} = {printing.interval(left, signed=True)}",
            "not above 0",
            left.low is not None and not left.is_above(0),
            f"{counted}: another document's state, minus {name}, the higher of closed book with "
            f"the adapter on ({floor.mean():.2f}) and the most frequent answer to the most "
            f"similar questions ({prior.mean():.2f}).",
        ),
    ]


def _own_and_swapped(
    backend: Backend, suite: Suite, samples: Sequence[Sample]
) -> tuple[Floats, Floats]:
    """Return the scores of every question asked of its own state, and of another document's."""
    own: dict[int, list[float]] = {}
    swapped: dict[int, list[float]] = {}
    others = [_other(samples, k) for k in range(len(samples))]
    for number, sample in enumerate(samples):
        with closing(backend.prepare(sample.context)) as state:
            own[number] = _scores(state, suite, sample)
            for other in (k for k, place in enumerate(others) if place == number):
                swapped[other] = _scores(state, suite, samples[other])
    return _in_order(own), _in_order(swapped)


def _other(samples: Sequence[Sample], number: int) -> int:
    """Return the next sample, around the end, that has another context."""
    places = ((number + step) % len(samples) for step in range(1, len(samples)))
    return next(k for k in places if samples[k].context != samples[number].context)


def _without(backend: Backend, suite: Suite, samples: Sequence[Sample]) -> Floats:
    scores: dict[int, list[float]] = {}
    for number, sample in enumerate(samples):
        with closing(backend.prepare(sample.context)) as state:
            scores[number] = _scores(state, suite, sample)
    return _in_order(scores)


def _in_order(scores: dict[int, list[float]]) -> Floats:
    return np.array([score for number in sorted(scores) for score in scores[number]])


def _scores(state: PreparedContext, suite: Suite, sample: Sample) -> list[float]:
    found: list[float] = []
    for start in range(0, len(sample.questions), BATCH):
        batch = sample.questions[start : start + BATCH]
        generations = state.generate(
            [question.text for question in batch],
            max_new_tokens=sample.max_new_tokens,
            min_new_tokens=sample.min_new_tokens,
        )
        for question, generation in zip(batch, generations, strict=True):
            found.append(_score(suite, sample, question, generation.text))
    return found


def _score(suite: Suite, sample: Sample, question: Question, answer: str) -> float:
    """Return the headline metric, NaN where it does not apply."""
    return float(suite.score(question, answer, sample.context).get(suite.metrics[0], np.nan))


def _prior(suite: Suite, samples: Sequence[Sample]) -> Floats:
    """Return the scores of someone who knows the other contexts' questions and answers alone.

    "What did Ann win?" is answered with the most frequent answer to the questions that share the
    largest part of their words with it, "What did Bob win?" among them.
    """
    found = [
        _score(suite, sample, question, _guess(question, samples, without=sample.context))
        for sample in samples
        for question in sample.questions
    ]
    return np.array(found)


def _guess(question: Question, samples: Sequence[Sample], *, without: str) -> str:
    alike: dict[str, float] = {}
    answers: list[tuple[float, str]] = []
    words = _words(question.text)
    for other in _questions(samples, without=without):
        if other.text not in alike:
            theirs = _words(other.text)
            alike[other.text] = len(words & theirs) / max(1, len(words | theirs))
        answers.append((alike[other.text], other.targets[0]))
    most = max(share for share, _ in answers)
    return Counter(answer for share, answer in answers if share == most).most_common(1)[0][0]


def _questions(samples: Sequence[Sample], *, without: str) -> Iterator[Question]:
    for sample in samples:
        if sample.context != without:
            yield from sample.questions


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))
