"""From how many questions about one context on an arm costs less time than another.

An arm that takes longer to read a context may answer faster. The point is where both have taken as
long: the smallest whole number of questions at which the arm's `prepare + n * question` is below
the other's, the figures being those of the table of costs. Its interval comes from drawing
contexts anew, as in stats.py, both arms on the same ones. Machine times only: memory is not in it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from harness import costs, printing, stats
from harness.printing import Table
from harness.stats import Floats, Ints
from harness.tables import CEILING, COMPARED, FLOOR, RANKS, Section

NEVER = math.inf
CELLS = 2_000_000  # of one block of draws: bounds the memory, whatever the number of contexts
FEW_DRAWS = 200  # where there are many contexts: the interval is narrow, and draws take long
LEGEND = (
    "Break-even: the fewest questions about one context from which on the backend has taken less "
    "time than the other, reading included; 95 % interval from resampling contexts."
)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """From how many questions on `arm` has taken less time than `other`."""

    arm: str
    other: str
    questions: float  # 1: from the first on; NEVER: at no number from there on
    low: float | None  # of the 95 % interval; None: too few contexts
    high: float | None
    contexts: int
    size: tuple[str, ...] = ()  # of the sweep, if it is one
    until: float | None = None  # where questions is NEVER: cheaper up to so many, if at all

    @property
    def is_known(self) -> bool:
        """Whether the interval says that it pays at some number of questions."""
        return self.high is not None and self.high < NEVER

    @property
    def is_ruled_out(self) -> bool:
        """Whether the interval says that it pays at no number of questions."""
        return self.low == NEVER

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
    """Yield each arm against full context, and gist arms against the others; floors left out.

    A sweep over sizes is compared size by size.
    """
    _, groups = costs.cost_groups(section)
    sizes = dict.fromkeys(key[1:] for key in groups)
    compared, ceilings = section.arms_named(COMPARED), section.arms_named(CEILING)[:1]
    arms = [arm for arm in section.arms if RANKS.get(arm.partition(",")[0]) != RANKS[FLOOR]]
    pairs = [
        (arm, other)
        for arm in arms
        for other in arms
        if arm not in ceilings
        and (other in ceilings or (arm in compared and other not in compared))
    ]
    for size, (arm, other) in product(sizes, pairs):
        first, second = groups.get((arm, *size)), groups.get((other, *size))
        if first is None or second is None:
            continue
        found = break_even(arm, first, other, second)
        if found is not None:
            yield replace(found, size=size)


def break_even(
    arm: str, rows: pd.DataFrame, other: str, other_rows: pd.DataFrame
) -> BreakEven | None:
    """Compare the times of two arms on the contexts that both read and answered about.

    Args:
        arm: the name of the first.
        rows: its rows of one suite.
        other: the name of the arm that it is compared with.
        other_rows: the rows of that one.
    """
    both = np.intersect1d(_answered(rows), _answered(other_rows))
    if not len(both):
        return None
    sides = [side[side["context"].isin(both)] for side in (rows, other_rows)]
    first, second = (costs.measured(side) for side in sides)
    more_s, saved_s = first.prepare_s - second.prepare_s, second.question_s - first.question_s
    questions = float(_questions(np.array([more_s]), np.array([saved_s]))[0])
    low, high = _interval([_per_context(side, both) for side in sides])
    # Dearer per question yet cheaper to read: it is ahead at first.
    until = math.ceil(more_s / saved_s) - 1 if questions == NEVER and more_s < 0 > saved_s else 0
    return BreakEven(arm, other, questions, low, high, len(both), until=until or None)


def break_even_table(found: Sequence[BreakEven], names: Sequence[str]) -> Table:
    """Return a row per pair; `names` are those of the sizes of a sweep."""
    rows = tuple(
        (one.arm, one.other, *one.size, str(one), printing.count(one.contexts)) for one in found
    )
    header = ("backend", "against", *names, "pays from questions", "contexts")
    return Table("Break-even in seconds", header, rows, legend=(LEGEND,), keys=2 + len(names))


def _answered(rows: pd.DataFrame) -> Ints:
    """Return the contexts that were read and asked."""
    asked = costs.answered_longest(rows)
    return asked.loc[asked["prepare_s"].notna(), "context"].unique()


def _per_context(rows: pd.DataFrame, contexts: Ints) -> Floats:
    """Return seconds to read, seconds of all answers and questions, (3, contexts)."""
    asked = costs.answered_longest(rows)
    read = rows.drop_duplicates(costs.SAMPLE).groupby("context")["prepare_s"].median()
    spent = asked.drop_duplicates(costs.BATCH).groupby("context")["generate_s"].sum()
    counts = asked.groupby("context").size()
    columns = [series.reindex(contexts).to_numpy(np.float64) for series in (read, spent, counts)]
    return np.stack(columns)


def _questions(more_s: Floats, saved_s: Floats) -> Floats:
    """Return the break-even for seconds more to read and seconds saved per question, (n,) each."""
    with np.errstate(divide="ignore", invalid="ignore"):
        reached = np.maximum(1.0, np.floor(more_s / saved_s) + 1)
    return np.where(saved_s > 0, reached, NEVER)


def _interval(sides: Sequence[Floats]) -> tuple[float | None, float | None]:
    """Return the interval of the break-even from (3, contexts) of the arm and of the other."""
    contexts = sides[0].shape[1]
    if contexts < stats.MIN_CONTEXTS:
        return None, None
    rng = np.random.default_rng(stats.SEED)
    found: list[Floats] = []
    block = max(1, CELLS // contexts)
    draws = stats.DRAWS if contexts <= stats.MANY_CONTEXTS else FEW_DRAWS
    for start in range(0, draws, block):
        drawn = rng.integers(contexts, size=(min(block, draws - start), contexts))
        (read, each), (other_read, other_each) = (_times(side, drawn) for side in sides)
        found.append(_questions(read - other_read, other_each - each))
    tail = stats.expanded_tail(contexts)
    # No interpolation: between a number and NEVER lies nothing.
    low, high = np.quantile(np.concatenate(found), (tail, 1 - tail), method="nearest")
    return float(low), float(high)


def _times(side: Floats, drawn: Ints) -> tuple[Floats, Floats]:
    """Return seconds to read and seconds per question of each draw, (draws,) each."""
    read, spent, counts = side
    return np.median(read[drawn], axis=1), spent[drawn].sum(axis=1) / counts[drawn].sum(axis=1)


def _number(questions: float) -> str:
    return "never" if questions == NEVER else printing.count(questions)
