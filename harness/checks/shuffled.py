"""The shuffled-context control: does a compressed context hold what its own document says?

Asked the same questions, a document's own state must answer better than the state of another
document. The other document's state must answer no better than one can without a document: from
the question alone, or from the prior of the answers. Works with any backend.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from harness.api import Backend, PreparedContext, Question, Sample, Suite
from harness.errors import UserError
from harness.report import format as printing
from harness.report import significance
from harness.report.stats import Floats, Ints
from harness.run.headline import headline_of
from harness.run.thoughts import split_thought

BATCH = 8  # questions asked at once
OWN_ABOVE_SHUFFLED = "shuffled-context control"
SHUFFLED_AT_FLOOR = "shuffled context = no context"


Score = Callable[[Sample, Question, str], float]


@dataclass(frozen=True, slots=True)
class Check:
    """One validity check: what was measured, what is allowed, whether it holds."""

    name: str
    measured: str
    limit: str
    passed: bool
    detail: str = ""


def answerable(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with only their answerable questions.

    A question without an answer in its context cannot tell one document from another.

    Raises:
        UserError: too few are left for a test.
    """
    asked = [replace(s, questions=tuple(q for q in s.questions if q.targets)) for s in samples]
    left = [sample for sample in asked if sample.questions]
    different = len({sample.context for sample in left})
    if different < significance.MIN_TESTED:
        raise UserError(
            f"{different} different contexts with answerable questions are too few to compare a "
            f"document's own state with another's. Give {significance.MIN_TESTED} or more."
        )
    return left


def check_shuffled(
    open_backend: Callable[[], Backend],
    open_floor: Callable[[], Backend],
    suite: Suite,
    samples: Sequence[Sample],
    *,
    in_sentences: bool = False,
) -> list[Check]:
    """Compare each document's own state with another document's, and that with no document.

    Args:
        open_backend: builds the backend whose states are checked.
        open_floor: builds the backend that reads no context, with the same weights.
        suite: scores the answers; its headline metric counts.
        samples: as `answerable` returns them.
        in_sentences: whether the model answers in sentences, which decides the headline.

    Raises:
        UserError: no question has the metric.
    """
    metric = headline_of(suite.metrics, in_sentences=in_sentences)

    def score(sample: Sample, question: Question, answer: str) -> float:
        scores = suite.score(question, split_thought(answer)[1], sample.context)
        return float(scores.get(metric, np.nan))  # NaN where it does not apply

    with closing(open_backend()) as backend:
        own, shuffled = _own_and_shuffled(backend, score, samples)
    with closing(open_floor()) as backend:  # only now: each may change the model
        floor = _scores_of(backend, score, samples)
    numbers = [k for k, sample in enumerate(samples) for _ in sample.questions]
    scores = np.stack([own, shuffled, floor, _prior(score, samples)])  # (4, questions)
    known = ~np.isnan(scores).any(axis=0)  # (questions,)
    if not known.any():
        raise UserError(f"no question has the metric {metric!r}. Give another suite.")
    contexts: Ints = np.array(numbers, dtype=np.int64)[known]
    own, shuffled, floor, prior = scores[:, known]
    return judge_shuffled(own, shuffled, floor, prior, contexts, metric=metric)


def judge_shuffled(
    own: Floats, shuffled: Floats, floor: Floats, prior: Floats, contexts: Ints, *, metric: str
) -> list[Check]:
    """Return both checks from the scores of the same questions, each (n,).

    Both are judged by the paired test; with too few contexts for it, both fail.
    """
    better = significance.contrast(own, shuffled, contexts)
    name, without = max(("closed book", floor), ("the prior", prior), key=lambda x: x[1].mean())
    other = significance.contrast(shuffled, without, contexts)
    gain, rest = better.difference, other.difference
    counted = f"{metric} of {gain.n} questions on {gain.contexts} contexts"
    return [
        Check(
            OWN_ABOVE_SHUFFLED,
            f"{own.mean():.2f} - {shuffled.mean():.2f} = {printing.interval(gain, signed=True)}, "
            f"p = {better.p:.3f}",
            "above 0",
            gain.low is not None and better.is_above_zero,
            f"{counted}: a document's own state minus another document's, on the same questions.",
        ),
        Check(
            SHUFFLED_AT_FLOOR,
            f"{shuffled.mean():.2f} - {without.mean():.2f} = "
            f"{printing.interval(rest, signed=True)}, p = {other.p:.3f}",
            "not above 0",
            rest.low is not None and not other.is_above_zero,
            f"{counted}: another document's state, minus {name}, the higher of closed book with "
            f"the adapter on ({floor.mean():.2f}) and the most frequent answer to the most "
            f"similar questions ({prior.mean():.2f}).",
        ),
    ]


def _own_and_shuffled(
    backend: Backend, score: Score, samples: Sequence[Sample]
) -> tuple[Floats, Floats]:
    """Return the scores of every question on its own state, and on another document's."""
    own: dict[int, list[float]] = {}
    shuffled: dict[int, list[float]] = {}
    others = [_other(samples, k) for k in range(len(samples))]
    for number, sample in enumerate(samples):
        with closing(backend.prepare(sample.context)) as state:
            own[number] = _scores(state, score, sample)
            for other in (k for k, place in enumerate(others) if place == number):
                shuffled[other] = _scores(state, score, samples[other])
    return _in_order(own), _in_order(shuffled)


def _other(samples: Sequence[Sample], number: int) -> int:
    """Return the next sample, around the end, that has another context."""
    places = ((number + step) % len(samples) for step in range(1, len(samples)))
    return next(k for k in places if samples[k].context != samples[number].context)


def _scores_of(backend: Backend, score: Score, samples: Sequence[Sample]) -> Floats:
    scores: dict[int, list[float]] = {}
    for number, sample in enumerate(samples):
        with closing(backend.prepare(sample.context)) as state:
            scores[number] = _scores(state, score, sample)
    return _in_order(scores)


def _in_order(scores: dict[int, list[float]]) -> Floats:
    return np.array([score for number in sorted(scores) for score in scores[number]])


def _scores(state: PreparedContext, score: Score, sample: Sample) -> list[float]:
    found: list[float] = []
    for start in range(0, len(sample.questions), BATCH):
        batch = sample.questions[start : start + BATCH]
        generations = state.generate(
            [question.text for question in batch],
            max_new_tokens=sample.max_new_tokens,
            min_new_tokens=sample.min_new_tokens,
        )
        for question, generation in zip(batch, generations, strict=True):
            found.append(score(sample, question, generation.text))
    return found


def _prior(score: Score, samples: Sequence[Sample]) -> Floats:
    """Return the scores of a guess from the questions and answers of the other contexts.

    "What did Ann win?" is answered with the most frequent answer to the questions that share the
    largest part of their words with it, "What did Bob win?" among them.
    """
    found = [
        score(sample, question, _guess(question, samples, without=sample.context))
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
    largest = max(share for share, _ in answers)
    return Counter(answer for share, answer in answers if share == largest).most_common(1)[0][0]


def _questions(samples: Sequence[Sample], *, without: str) -> Iterator[Question]:
    for sample in samples:
        if sample.context != without:
            yield from sample.questions


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))
