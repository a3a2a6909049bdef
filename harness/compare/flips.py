"""The answers behind a change: which went from right to wrong, or back, and the first of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.compare.changes import definition
from harness.compare.pairing import KEYS, Cell, Pairs
from harness.report import stats
from harness.report.metrics import all_metrics

MAX_FLIPPED = 10  # answers kept and shown, of each direction


@dataclass(frozen=True, slots=True)
class FlippedAnswer:
    """An answer that changed from right to wrong, or from wrong to right."""

    backend: str
    sample_id: str
    question_id: str
    targets: str  # as in records.csv
    base: str  # the answers
    new: str


@dataclass(frozen=True, slots=True)
class Flips:
    """The answers that changed in one direction."""

    n: int
    first: tuple[FlippedAnswer, ...]  # `MAX_FLIPPED` at most


@dataclass(frozen=True, slots=True)
class FlippedAnswers:
    """How the answers of a suite's backend changed, judged by one metric."""

    suite: str
    backend: str
    metric: str
    lost: Flips  # right before, wrong now
    won: Flips
    reworded: int  # another text with the same score
    n: int  # questions that both runs answered

    @property
    def changed(self) -> bool:
        """Whether any answer changed."""
        return bool(self.lost.n or self.won.n or self.reworded)


def flipped_answers(pairs: Pairs) -> Iterator[FlippedAnswers]:
    """Yield, for each backend of a suite that scores answers, which answers changed."""
    for cell in pairs.cells:
        metric = _judge(cell, pairs.headlines[cell.suite].metrics)
        if metric is not None:
            yield _flipped(cell, metric)


def _judge(cell: Cell, metrics: Sequence[str]) -> str | None:
    """Return the metric that best says which answers are right."""
    filled = [name for name in metrics if cell.base.has(name)]
    judging = [name for name in filled if definition(name).judges]
    rising = [n for n in filled if n not in all_metrics() or definition(n).better == "higher"]
    if judging or not rising:
        return next(iter(judging), None)
    scores = cell.base[rising]
    zero_one = (name for name in rising if stats.is_zero_one(scores[name].dropna().to_numpy()))
    return next(zero_one, rising[0])


def _flipped(cell: Cell, metric: str) -> FlippedAnswers:
    base, new = (side[metric].to_numpy() for side in cell.columns([metric]))
    both = ~(np.isnan(base) | np.isnan(new))
    was, now = (both & (side >= 1) for side in (base, new))
    lost, won = (_flips(cell, np.flatnonzero(f)) for f in (was & ~now, now & ~was))
    same = np.flatnonzero(base == new)
    texts = cell.base.hashes("answer")[same]
    reworded = texts != cell.new.hashes("answer")[cell.at_new[same]]
    counts = int(reworded.sum()), int(both.sum())
    return FlippedAnswers(cell.suite, cell.backend, metric, lost, won, *counts)


def _flips(cell: Cell, places: npt.NDArray[np.intp]) -> Flips:
    """Return the answers at these places of a cell."""
    shown = places[:MAX_FLIPPED]
    base = cell.base.at([*KEYS, "targets", "answer"], shown)
    new = cell.new.at(["answer"], cell.at_new[shown])
    lines = zip(*(base[name] for name in base), new["answer"], strict=True)
    return Flips(len(places), tuple(FlippedAnswer(cell.backend, *line) for line in lines))
