"""What changed between two runs: each figure of each backend, paired.

Answers are paired question by question, costs sample by sample, decode rates by context size. The
interval of a change resamples contexts; what is exact (bytes held, say) has an interval of width 0.
A question that one run did not answer (an error, or no row in the new run) counts as wrong there,
0, in metrics where more is better. The held-out slice has figures of its own here too, where the
report's headline leaves it out.

A figure holds an array of each run, and is looked at when it is made. What is kept is its `Change`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.compare.pairing import MISSING, Cell, Pairs
from harness.report import costs, significance, stats
from harness.report.metrics import all_metrics
from harness.report.sections import HELD_OUT_SLICE
from harness.run.metrics import Metric

ERRORS = "errors"
RECALL = "evidence_recall"
RATE = "decode_tokens_per_s"
PEAKS = ["prepare_peak_bytes", "generate_peak_bytes"]
COSTS = (  # on the page; others can have gates
    "prepare_s",
    "question_s",
    "first_token_s",
    RATE,
    "held_bytes",
    "peak_bytes",
)
Mask = npt.NDArray[np.bool_]


def definition(metric: str) -> Metric:
    """Return what a metric means; one without definition can go either way."""
    unknown = Metric(metric, "", unit="", better="neither")
    return all_metrics().get(metric, unknown)


@dataclass(frozen=True, slots=True)
class Change:
    """What is told of a figure of one backend in two runs, over what both have."""

    suite: str  # `qa`, or `qa, template=unseen` for held-out rows
    backend: str
    metric: str
    is_answer: bool  # else a cost
    is_headline: bool  # of its suite
    same: bool  # nothing at all is different
    base: float  # means
    new: float
    estimate: stats.Estimate | None  # None: the same, or not on the page
    in_percent: bool  # of the base: new / base - 1; else new - base


@dataclass(frozen=True)
class Figure:
    """One figure of one backend in two runs."""

    suite: str
    backend: str
    metric: str
    base: stats.Floats  # (n,)
    new: stats.Floats  # (n,) of the same questions, samples or sizes
    contexts: stats.Ints  # (n,)
    is_answer: bool
    bounded: bool  # between 0 and 1
    is_headline: bool = False

    @cached_property
    def change(self) -> Change:
        """What is told of it: of costs in percent where there is a base."""
        same = bool(np.array_equal(self.base, self.new))
        estimate, in_percent = None, False
        if not same and self.is_answer:
            estimate = self.absolute
        elif not same and self.metric in COSTS:
            in_percent = self.relative is not None
            estimate = self.relative or self.absolute
        means = float(self.base.mean()), float(self.new.mean())
        is_what = self.is_answer, self.is_headline, same
        key = self.suite, self.backend, self.metric
        return Change(*key, *is_what, *means, estimate, in_percent)

    @property
    def is_exact(self) -> bool:
        """Whether it is the same in every run on the same rows."""
        return definition(self.metric).is_exact

    def p_against(self, tolerance: float, *, relative: bool) -> float:
        """Return the two-sided p of the change being the tolerance, by the paired test.

        Args:
            tolerance: of new - base, or with `relative` of new / base - 1.
            relative: what it is of.
        """
        if self.is_exact:
            return 0.0
        expected = (1 + tolerance) * self.base if relative else self.base + tolerance
        return significance.sign_flip_p(self.new - expected, self.contexts)

    @cached_property
    def absolute(self) -> stats.Estimate:
        """The mean of new - base."""
        sides = self.new, self.base, self.contexts
        return self._exactly(stats.difference_estimate(*sides, bounded=self.bounded))

    @cached_property
    def relative(self) -> stats.Estimate | None:
        """The mean of new over that of base, minus 1; None where the base is 0."""
        sides = self.new, self.base, self.contexts
        found = stats.relative_estimate(*sides, bounded=self.bounded)
        return None if found is None else self._exactly(found)

    def _exactly(self, found: stats.Estimate) -> stats.Estimate:
        if self.is_exact:
            return stats.Estimate(found.mean, found.mean, found.mean, found.n, found.contexts)
        return found


def all_figures(pairs: Pairs) -> Iterator[Figure]:
    """Yield every figure of every backend that both runs have, suite by suite.

    Times are left out where the runs are from different machines, or it is not known.
    """
    for cell in pairs.cells:
        for figure in chain(_of_answers(cell, pairs), _of_costs(cell)):
            if pairs.same_machine or not definition(figure.metric).is_time:
                yield figure


def _of_answers(cell: Cell, pairs: Pairs) -> Iterator[Figure]:
    """Yield a backend's scores, those of held-out rows separately."""
    metrics = pairs.headlines[cell.suite].metrics
    column, value = HELD_OUT_SLICE
    splits = pairs.holds_out and column in pairs.slices
    names = ["sample_id", "error", *metrics, RECALL, *([column] if splits else [])]
    sides = cell.columns(names)
    contexts = pd.factorize(sides[0]["sample_id"])[0]
    failed = [(side["error"] != "").to_numpy() for side in sides]
    held_out = (sides[0][column] == value).to_numpy() if splits else np.zeros(len(contexts), bool)
    if held_out.all():  # then they are the headline, as in the report
        held_out = ~held_out
    suites = ((cell.suite, ~held_out), (f"{cell.suite}, {'='.join(HELD_OUT_SLICE)}", held_out))
    for suite, kept in (one for one in suites if one[1].any()):
        for metric in (*metrics, RECALL, ERRORS):
            if metric == ERRORS:
                found = np.array(failed, np.float64)  # (2, n)
            else:
                found = np.array([side[metric] for side in sides], np.float64)
            if metric in metrics and definition(metric).better == "higher":
                found = _wrong_if_unanswered(found, failed)
            yield from _where_known(
                (suite, cell.backend),
                metric,
                found[:, kept],
                contexts[kept],
                is_headline=metric in metrics[:1],
            )


def _wrong_if_unanswered(scores: stats.Floats, failed: list[Mask]) -> stats.Floats:
    """Return scores, (2, n), that are 0 where a question has none and the other run has one."""
    known = ~np.isnan(scores)
    unanswered = [failed[side] & known[1 - side] for side in (0, 1)]
    return np.where(unanswered, 0.0, scores)


def _of_costs(cell: Cell) -> Iterator[Figure]:
    """Yield the costs of samples whose batches are whole in both runs."""
    names = [*costs.OF_SAMPLES, "batch_size", "memory_kind", "error"]
    if costs.STREAMED in cell.base and costs.STREAMED in cell.new:
        names.append(costs.STREAMED)
    base, new = cell.columns(names)
    # Peaks that were counted in different ways cannot be compared.
    base.loc[base["memory_kind"] != new["memory_kind"], PEAKS] = np.nan
    for name in ("sample_id", "batch_id"):
        base[name], new[name] = (pd.factorize(side[name])[0] for side in (base, new))
    whole = _whole(base) & _whole(new) & (new["error"] != MISSING)
    if not whole.all():
        kept = ~base["sample_id"].isin(base.loc[~whole, "sample_id"])
        base, new = base[kept], new[kept]
    if base.empty:
        return
    key = cell.suite, cell.backend
    before, now = costs.of_samples(base), costs.of_samples(new)
    for metric in before.columns:
        yield from _where_known(key, metric, np.array([before[metric], now[metric]]))
    rates = [costs.decode_rates(rows[rows["generate_s"].notna()]) for rows in (base, new)]
    sizes = rates[0].index.intersection(rates[1].index)
    if len(sizes):
        yield from _where_known(key, RATE, np.array([side.loc[sizes] for side in rates]))


def _where_known(
    key: tuple[str, str],
    metric: str,
    sides: stats.Floats,
    contexts: stats.Ints | None = None,
    *,
    is_headline: bool = False,
) -> Iterator[Figure]:
    """Yield a figure, (2, n), that both runs have; each line of a cost is its own context."""
    known = ~np.isnan(sides).any(axis=0)
    if known.any():
        first, second = sides = sides[:, known]
        is_answer = contexts is not None
        numbers = np.arange(known.sum()) if contexts is None else contexts[known]
        bounded = is_answer and bool((sides >= 0).all() and (sides <= 1).all())
        yield Figure(*key, metric, first, second, numbers, is_answer, bounded, is_headline)


def _whole(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Say for each row whether all questions of its batch are among the rows."""
    asked = rows.groupby(["sample_id", "batch_id"])["error"].transform("size")
    return (asked == rows["batch_size"]) | rows["batch_size"].isna()
