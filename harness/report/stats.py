"""Means and differences with 95 % intervals, for questions that share contexts.

Questions about one context are not independent, so a context is the unit that is drawn:

- means of a metric between 0 and 1: an exact interval at the effective number of questions, which
  is Clopper and Pearson's where every context has one yes-or-no question (shares.py);
- differences, ratios and costs: scipy's bootstrap over contexts with all their questions (expanded
  percentiles: plain ones are too narrow for few contexts, Hesterberg, arXiv 1411.5279); above
  `MANY_CONTEXTS` its normal limit, which agrees to the third digit and costs nothing;
- differences that are all alike have no spread to resample, and a width of 0 would be wrong. Then
  as many unseen contexts may differ as the exact bound for "0 of so many contexts" allows, each by
  as much as a metric between 0 and 1 can;
- fewer than `MIN_CONTEXTS` contexts: no interval, as so few cannot cover 95 %.

Costs (`bounded=False`) may be anything, and where all contexts agree on a cost there is nothing
unseen to allow for. p-values are in significance.py. Nothing here knows about tables or files.

Arrays are (n,): a metric of a backend on n >= 1 questions without NaN, the same questions in the
same order for all backends, and the number of each question's context. Others raise `ValueError`.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from harness.report.shares import LEVEL as LEVEL
from harness.report.shares import Floats as Floats
from harness.report.shares import Z as Z
from harness.report.shares import clopper_pearson, share_interval

Ints = npt.NDArray[np.int64]

DRAWS = 2000
SEED = 20240808  # of the resampling: the same rows give the same report
MIN_CONTEXTS = 5
MANY_CONTEXTS = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean (or a ratio) over questions, with its interval."""

    mean: float
    low: float | None  # None: too few contexts for an interval
    high: float | None
    n: int  # questions
    contexts: int

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval and 0 lies outside of it."""
        return self.is_above(0) or (self.high is not None and self.high < 0)

    def is_above(self, value: float) -> bool:
        """Return whether there is an interval and all of it lies above `value`."""
        return self.low is not None and self.low > value


def mean_estimate(values: Floats, contexts: Ints) -> Estimate:
    """Return the mean of a metric over questions.

    Raises:
        ValueError: there are no values, one is NaN or infinite, or the arrays differ in length.
    """
    checked(values, contexts=contexts)
    sums, counts = per_context(values, contexts)
    mean, n = float(values.mean()), len(values)
    bounds: tuple[float | None, float | None] = None, None
    if len(sums) >= MIN_CONTEXTS:
        if values.min() >= 0 and values.max() <= 1:
            bounds = share_interval(sums, counts, zero_one=is_zero_one(values))
        elif not _alike(sums, counts):
            bounds = _ratio_interval(sums, counts)
    return Estimate(mean, *bounds, n, len(sums))


def checked(*metrics: Floats, contexts: Ints) -> None:
    """Raise `ValueError` for arrays that nothing can be estimated from, the same for all of them.

    They must be of one length, at least 1, and hold numbers.
    """
    sizes = sorted({len(contexts), *(len(values) for values in metrics)})
    if sizes[0] == 0:
        raise ValueError("no values to estimate from: give at least one question.")
    if len(sizes) > 1:
        given = " and ".join(map(str, sizes))
        raise ValueError(f"arrays of {given} values: give one value per question, and its context.")
    if not all(np.isfinite(values).all() for values in metrics):
        raise ValueError("a value is NaN or infinite: leave out questions without a figure.")


def difference_estimate(
    first: Floats, second: Floats, contexts: Ints, *, bounded: bool = True
) -> Estimate:
    """Return the mean of `first - second`; `bounded`: a metric between 0 and 1."""
    checked(first, second, contexts=contexts)
    mean = float((first - second).mean())
    unseen = (1 + mean, 1 - mean) if bounded else (0.0, 0.0)
    return _estimate(mean, *per_context(first - second, contexts), len(first), unseen=unseen)


def relative_estimate(
    first: Floats, second: Floats, contexts: Ints, *, bounded: bool = True
) -> Estimate | None:
    """Return mean(first) / mean(second) - 1: -0.1 is 10 % less.

    None where the mean of `second` is not above 0: nothing can be a fraction of it.
    """
    checked(first, second, contexts=contexts)
    if second.mean() <= 0:
        return None
    return _ratio_estimate(first - second, second, contexts, bounded=bounded)


def gap_recovered(
    backend: Floats, floor: Floats, ceiling: Floats, contexts: Ints
) -> Estimate | None:
    """Return the ratio of means (backend - floor) / (ceiling - floor).

    None where the interval of ceiling - floor does not lie above 0: there is no gap to recover.
    """
    checked(backend, floor, ceiling, contexts=contexts)
    if not difference_estimate(ceiling, floor, contexts).is_above(0):
        return None
    return _ratio_estimate(backend - floor, ceiling - floor, contexts, bounded=True)


def per_context(values: Floats, contexts: Ints) -> tuple[Floats, Floats]:
    """Return the sum of the values and their number, for each context, (contexts,) each."""
    _, place = np.unique(contexts, return_inverse=True)
    sums = np.bincount(place, weights=values).astype(np.float64)
    return sums, np.bincount(place).astype(np.float64)


def is_zero_one(values: Floats) -> bool:
    """Say whether the metric only ever says yes or no."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def _ratio_estimate(tops: Floats, bottoms: Floats, contexts: Ints, *, bounded: bool) -> Estimate:
    """Return mean(tops) / mean(bottoms), (n,) each."""
    sums, _ = per_context(tops, contexts)
    of_bottoms, _ = per_context(bottoms, contexts)
    half = 1 / float(bottoms.mean()) if bounded else 0.0
    ratio = float(sums.sum() / of_bottoms.sum())
    return _estimate(ratio, sums, of_bottoms, len(tops), unseen=(half, half))


def _estimate(
    value: float, tops: Floats, bottoms: Floats, n: int, *, unseen: tuple[float, float]
) -> Estimate:
    """Return a value with the interval of sum(tops) / sum(bottoms) over contexts.

    `unseen` says how far below and above a context that was not seen can be, if all are alike.
    """
    bounds: tuple[float | None, float | None]
    if len(tops) < MIN_CONTEXTS:
        bounds = None, None
    elif _alike(tops, bottoms):
        _, share = clopper_pearson(0, len(tops))  # of unseen contexts that may differ
        bounds = value - share * unseen[0], value + share * unseen[1]
    else:
        bounds = _ratio_interval(tops, bottoms)
    return Estimate(value, *bounds, n, len(tops))


def _alike(tops: Floats, bottoms: Floats) -> bool:
    """Say whether every context has the same ratio, so that there is no spread to resample."""
    residuals = tops - tops.sum() / bottoms.sum() * bottoms
    return bool(np.abs(residuals).max() < 1e-9)


def _ratio_interval(tops: Floats, bottoms: Floats) -> tuple[float | None, float | None]:
    """Return the interval of sum(tops) / sum(bottoms) when contexts are drawn anew."""
    contexts = len(tops)
    ratio = tops.sum() / bottoms.sum()
    if contexts > MANY_CONTEXTS:
        residuals = tops - ratio * bottoms
        spread = math.sqrt((residuals**2).sum() * contexts / (contexts - 1)) / abs(bottoms.sum())
        return float(ratio - Z * spread), float(ratio + Z * spread)
    from scipy import stats  # half a second, and not every table needs it

    def ratios(some_tops: Floats, some_bottoms: Floats, axis: int) -> Floats:
        drawn: Floats = some_tops.sum(axis) / some_bottoms.sum(axis)
        return drawn

    with np.errstate(divide="ignore", invalid="ignore"):
        found = stats.bootstrap(
            (tops, bottoms),
            ratios,
            paired=True,
            vectorized=True,
            n_resamples=DRAWS,
            confidence_level=1 - 2 * expanded_tail(contexts),
            method="percentile",
            rng=np.random.default_rng(SEED),
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (None, None)


def expanded_tail(contexts: int) -> float:
    """Return the share to cut off at each end so that few contexts cover as a t interval does."""
    t = stdtrit(contexts - 1, (1 + LEVEL) / 2)
    return float(ndtr(-math.sqrt(contexts / (contexts - 1)) * t))
