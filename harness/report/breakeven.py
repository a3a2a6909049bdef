"""Break-even questions: how many make a backend cheaper in time than another.

A backend that takes longer to read a context may answer faster. The break-even is the smallest
whole number n of questions about one context at which its `prepare + n * question` is below the
other's, with the figures of the table of costs. The interval comes from resampling contexts, as in
stats.py, the same ones for both backends. It is about time alone, not about memory.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from harness.report import cost_tables, costs, stats
from harness.report import format as printing
from harness.report.format import Table
from harness.report.sections import CEILING, COMPARED, Section, rank_of
from harness.report.stats import Floats, Ints
from harness.run.kept import Columns
from harness.run.metrics import Metric

NEVER = math.inf
CELLS = 2_000_000  # of one block of draws: bounds the memory, whatever the number of contexts
FEW_DRAWS = 200  # where there are many contexts: the interval is narrow, and draws take long
HEADING = "break-even questions"
LEGEND = (
    "Break-even questions: the smallest number of questions about one context at which the backend "
    "has taken less time than the other, including the time to read it; 95 % interval from "
    "resampling contexts."
)
METRICS = (
    Metric(
        "break_even",
        "The smallest number of questions about one context at which a backend has taken less time "
        "than another, reading included.",
        "questions",
        "lower",
        kind="comparison",
        headings=(HEADING,),
        is_column=False,
    ),
)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The number of questions at which `backend` has taken less time than `other`."""

    backend: str
    other: str
    questions: float  # 1: already at the first; NEVER: at no number
    low: float | None  # of the 95 % interval; None: too few contexts
    high: float | None
    contexts: int
    size: tuple[str, ...] = ()  # of the sweep, if it is one
    until: float | None = None  # where questions is NEVER: the last number at which it is ahead

    @property
    def interval(self) -> str:
        """The interval in words, empty if there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{_number(self.low)} to {_number(self.high)}"

    def __str__(self) -> str:
        shown = _number(self.questions)
        if self.until is not None:
            shown += f" (only up to {_number(self.until)})"
        return f"{shown} [{self.interval}]" if self.interval else shown


def break_evens(section: Section) -> Iterator[BreakEven]:
    """Yield each backend against full context, and gist backends against the others.

    Floors and controls are left out. A sweep over sizes is compared size by size.
    """
    own = section.of_own_contexts
    _, groups = cost_tables.cost_groups(own)
    times = {key: times_of(rows) for key, rows in groups.items()}
    sizes = dict.fromkeys(key[1:] for key in groups)
    compared, ceilings = section.backends_named(COMPARED), section.backends_named(CEILING)[:1]
    backends = [backend for backend in own.backends if rank_of(backend) < 2]
    for size, backend, other in product(sizes, backends, backends):
        is_asked = other in ceilings or (backend in compared and other not in compared)
        first, second = times.get((backend, *size)), times.get((other, *size))
        if backend in ceilings or not is_asked or first is None or second is None:
            continue
        point = break_even(backend, first, other, second)
        if point is not None:
            yield replace(point, size=size)


def break_even(
    backend: str, times: pd.DataFrame, other: str, other_times: pd.DataFrame
) -> BreakEven | None:
    """Compare the `times_of` two backends on the contexts of both; None if they share none."""
    both = times.index.intersection(other_times.index)
    if both.empty:
        return None
    sides = [side.loc[both].to_numpy(np.float64).T for side in (times, other_times)]
    everything = np.arange(len(both))[None, :]  # (1, contexts): no drawing
    more_s, saved_s = _compared(sides, everything)
    questions = float(_questions(more_s, saved_s)[0])
    low, high = _interval(sides)
    # Slower per question yet faster to read: it is ahead at first.
    ahead = questions == NEVER and more_s[0] < 0 > saved_s[0]
    until = math.ceil(more_s[0] / saved_s[0]) - 1 if ahead else 0
    return BreakEven(backend, other, questions, low, high, len(both), until=until or None)


def break_even_table(points: Sequence[BreakEven], names: Sequence[str]) -> Table:
    """Return a row per pair; `names` are those of the sizes of a sweep."""
    rows = tuple(
        (point.backend, point.other, *point.size, str(point), printing.count(point.contexts))
        for point in points
    )
    header = ("backend", "against", *names, HEADING, "contexts")
    return Table("Break-even in time", header, rows, legend=(LEGEND,), keys=2 + len(names))


def times_of(rows: Columns) -> pd.DataFrame:
    """Return the times of the rows of one backend (and size), by context.

    The columns are the seconds to read it, those for all answers, and the number of questions.
    """
    asked = costs.answered_longest(rows, *costs.BATCH)
    samples = rows[[*costs.SAMPLE, "prepare_s"]]
    times = {
        "read_s": samples.drop_duplicates(costs.SAMPLE).groupby("context")["prepare_s"].median(),
        "answers_s": asked.drop_duplicates(costs.BATCH).groupby("context")["generate_s"].sum(),
        "questions": asked.groupby("context").size(),
    }
    return pd.DataFrame(times).dropna()


def _questions(more_s: Floats, saved_s: Floats) -> Floats:
    """Return the break-even for seconds more to read and seconds saved per question, (n,) each."""
    with np.errstate(divide="ignore", invalid="ignore"):
        reached = np.maximum(1.0, np.floor(more_s / saved_s) + 1)
    return np.where(saved_s > 0, reached, NEVER)


def _interval(sides: Sequence[Floats]) -> tuple[float | None, float | None]:
    """Return the interval of the break-even of a backend and another on the same contexts."""
    contexts = sides[0].shape[1]
    if contexts < stats.MIN_CONTEXTS:
        return None, None
    rng = np.random.default_rng(stats.SEED)
    questions: list[Floats] = []
    block = max(1, CELLS // contexts)
    draws = stats.DRAWS if contexts <= stats.MANY_CONTEXTS else FEW_DRAWS
    for start in range(0, draws, block):
        drawn = rng.integers(contexts, size=(min(block, draws - start), contexts))
        questions.append(_questions(*_compared(sides, drawn)))
    tail = stats.expanded_tail(contexts)
    # No interpolation: between a number and NEVER lies nothing.
    low, high = np.quantile(np.concatenate(questions), (tail, 1 - tail), method="nearest")
    return float(low), float(high)


def _compared(sides: Sequence[Floats], drawn: Ints) -> tuple[Floats, Floats]:
    """Return how much longer the backend reads and what it saves per question, (draws,) each, in s.

    Args:
        sides: `times_of` the backend and of the other, (3, contexts) each.
        drawn: (draws, contexts) places of the contexts that are taken.
    """
    read_s, question_s = [], []
    for read, answers_s, questions in sides:
        read_s.append(np.median(read[drawn], axis=1))
        question_s.append(answers_s[drawn].sum(axis=1) / questions[drawn].sum(axis=1))
    return read_s[0] - read_s[1], question_s[1] - question_s[0]


def _number(questions: float) -> str:
    return "never" if questions == NEVER else printing.count(questions)
