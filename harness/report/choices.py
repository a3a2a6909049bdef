"""What a way is worth, and which one to choose when quality, memory or time matters most."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.report.standing import Comparison, Standing
from harness.report.stats import Estimate

ASKED = (1, 10)  # questions about one context, for the time per question
NEAR = 1.05  # times the least cost: no difference to choose by
QUALITY = "quality"  # a goal


@dataclass(frozen=True, slots=True)
class Way:
    """What a usable backend is worth."""

    backend: str
    quality: Estimate  # the headline metric
    invented: Estimate | None  # share of unanswerable questions that it answers; None: not known
    held_bytes: float  # kept for one context, median; NaN: not known
    question_s: Mapping[int, float]  # seconds per question, if so many are asked; NaN: not known
    against: Comparison  # full context
    against_adapted: Comparison | None  # full context with the adapter on, for who uses the adapter


@dataclass(frozen=True, slots=True)
class Advice:
    """The way to choose when something matters most."""

    goal: str  # `memory`, `quality`, `time`, or `time, 10 questions`
    way: Way


def choices(ways: Sequence[Way], baseline: str, *, timed: bool) -> Iterator[Advice]:
    """Yield which way to choose when quality, memory or time matters most.

    Full context has the quality unless another way is shown to gain on it. Unless they are `timed`
    well, on a machine that did nothing else, there is no choice by time.
    """
    if not ways:
        return
    gaining = [way for way in ways if way.against.standing is Standing.GAINS]
    own = [way for way in ways if way.backend == baseline]
    yield Advice(QUALITY, max(gaining or own or ways, key=lambda way: way.quality.mean))
    yield from _cheapest("memory", [(way, way.held_bytes) for way in ways])
    if not timed:
        return
    first, last = (
        [choice.way for choice in _cheapest("", [(way, way.question_s[asked]) for way in ways])]
        for asked in ASKED
    )
    for way in first:
        yield Advice("time" if first == last else f"time, {ASKED[0]} question", way)
    for way in last if first != last else ():
        yield Advice(f"time, {ASKED[1]} questions", way)


def _cheapest(goal: str, costs_of: Sequence[tuple[Way, float]]) -> Iterator[Advice]:
    """Yield the way with the least cost, or one as cheap within `NEAR` that answers better."""
    known = [(cost, way) for way, cost in costs_of if cost > 0]  # NaN: not known
    if known:
        least = min(cost for cost, _ in known)
        near = [way for cost, way in known if cost <= NEAR * least]
        yield Advice(goal, max(near, key=lambda way: way.quality.mean))
