"""Means and differences with 95 % intervals, for questions that share contexts.

Questions about one context are not independent, so a context is the unit that is drawn:

- one question per context and a 0/1 metric: Wilson's interval;
- else scipy's bootstrap over contexts with all their questions (expanded percentiles: plain ones
  are too narrow for few contexts, Hesterberg, arXiv 1411.5279); above `MANY_CONTEXTS` its normal
  limit, which agrees to the third digit and costs nothing;
- contexts that are all alike (all right, say) have no spread to resample, and a width of 0
  would be wrong. Then as many unseen contexts may differ as Wilson's bound for "0 of so many
  contexts" allows, each by as much as a metric between 0 and 1 can;
- fewer than `MIN_CONTEXTS` contexts: no interval, as resampling so few cannot cover 95 %.

Metrics are taken to lie between 0 and 1; costs (`bounded=False`) may be anything, and where all
contexts agree on a cost there is nothing unseen to allow for. p-values are in significance.py.
Nothing here knows about tables or files.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.95
DRAWS = 2000
SEED = 20240808  # of the resampling: the same rows give the same report
MIN_CONTEXTS = 5
MANY_CONTEXTS = 1000
Z = float(ndtri((1 + LEVEL) / 2))


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
        return self.is_above(0) or self.is_below(0)

    def is_above(self, value: float) -> bool:
        """Return whether there is an interval and all of it lies above `value`."""
        return self.low is not None and self.low > value

    def is_below(self, value: float) -> bool:
        """Return whether there is an interval and all of it lies below `value`."""
        return self.high is not None and self.high < value


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's interval for `share` (0 to 1) of `n` independent trials.

    As `scipy.stats.binomtest(k, n).proportion_ci(method="wilson")`, without the exact test that
    scipy computes on the way.
    """
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low = 0.0 if share == 0 else centre - half
    high = 1.0 if share == 1 else centre + half
    return low, high


def mean_estimate(values: Floats, contexts: Ints) -> Estimate:
    """Return the mean of a metric over questions.

    Args:
        values: (n,) the metric of each question; n >= 1, no NaN.
        contexts: (n,) the number of each question's context, any integers.
    """
    tops, bottoms = per_context(values, contexts)
    mean = float(values.mean())
    bounds: tuple[float | None, float | None]
    if is_zero_one(values) and len(tops) == len(values):
        bounds = wilson(mean, len(values))
    elif _alike(tops, bottoms):
        share = _unseen_share(len(tops))
        bounded = 0 <= mean <= 1
        bounds = (mean - share * mean, mean + share * (1 - mean)) if bounded else (None, None)
    else:
        bounds = _ratio_interval(tops, bottoms)
    return Estimate(mean, *bounds, len(values), len(tops))


def difference_estimate(
    first: Floats, second: Floats, contexts: Ints, *, bounded: bool = True
) -> Estimate:
    """Return the mean of `first - second` over paired questions.

    Args:
        first: (n,) the metric of one backend; n >= 1, no NaN.
        second: (n,) the metric of the other backend for the same questions.
        contexts: (n,) the number of each question's context.
        bounded: whether the metric lies between 0 and 1.
    """
    tops, bottoms = per_context(first - second, contexts)
    mean = float((first - second).mean())
    bounds: tuple[float | None, float | None]
    if _alike(tops, bottoms):
        share = _unseen_share(len(tops)) if bounded else 0.0
        bounds = mean - share * (1 + mean), mean + share * (1 - mean)
    else:
        bounds = _ratio_interval(tops, bottoms)
    return Estimate(mean, *bounds, len(first), len(tops))


def relative_estimate(
    first: Floats, second: Floats, contexts: Ints, *, bounded: bool = True
) -> Estimate | None:
    """Return mean(first) / mean(second) - 1 over paired questions: -0.1 is 10 % less.

    Args:
        first: (n,) the metric of one backend; n >= 1, no NaN.
        second: (n,) the metric of the other backend for the same questions.
        contexts: (n,) the number of each question's context.
        bounded: whether the metric lies between 0 and 1.

    Returns:
        None where the mean of `second` is not above 0: nothing can be a share of it.
    """
    if second.mean() <= 0:
        return None
    tops, _ = per_context(first - second, contexts)
    bottoms, _ = per_context(second, contexts)
    ratio = float(tops.sum() / bottoms.sum())
    bounds: tuple[float | None, float | None]
    if _alike(tops, bottoms):
        half = _unseen_share(len(tops)) / float(second.mean()) if bounded else 0.0
        bounds = ratio - half, ratio + half
    else:
        bounds = _ratio_interval(tops, bottoms)
    return Estimate(ratio, *bounds, len(first), len(tops))


def gap_recovered(
    backend: Floats, floor: Floats, ceiling: Floats, contexts: Ints
) -> Estimate | None:
    """Return (backend - floor) / (ceiling - floor), a ratio of means over paired questions.

    Args:
        backend: (n,) the metric of the backend; n >= 1, no NaN.
        floor: (n,) of closed book, for the same questions.
        ceiling: (n,) of full context, for the same questions.
        contexts: (n,) the number of each question's context.

    Returns:
        None where the interval of ceiling - floor does not lie above 0: there is no gap to
        recover.
    """
    gap = difference_estimate(ceiling, floor, contexts)
    if gap.low is None or gap.low <= 0:
        return None
    tops, _ = per_context(backend - floor, contexts)
    bottoms, _ = per_context(ceiling - floor, contexts)
    ratio = float(tops.sum() / bottoms.sum())
    bounds: tuple[float | None, float | None]
    if _alike(tops, bottoms):
        half = _unseen_share(len(tops)) / gap.mean
        bounds = ratio - half, ratio + half
    else:
        bounds = _ratio_interval(tops, bottoms)
    return Estimate(ratio, *bounds, len(backend), len(tops))


def per_context(values: Floats, contexts: Ints) -> tuple[Floats, Floats]:
    """Return the sum of the values and their number, for each context, (contexts,) each."""
    _, place = np.unique(contexts, return_inverse=True)
    sums = np.bincount(place, weights=values).astype(np.float64)
    return sums, np.bincount(place).astype(np.float64)


def is_zero_one(values: Floats) -> bool:
    """Say whether the metric only ever says yes or no."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def _alike(tops: Floats, bottoms: Floats) -> bool:
    """Say whether every context has the same ratio, so that there is no spread to resample."""
    residuals = tops - tops.sum() / bottoms.sum() * bottoms
    return bool(np.abs(residuals).max() < 1e-9)


def _unseen_share(contexts: int) -> float:
    """Return the largest share of contexts that may differ though none of so many did."""
    return wilson(0.0, contexts)[1]


def _ratio_interval(tops: Floats, bottoms: Floats) -> tuple[float | None, float | None]:
    """Return the interval of sum(tops) / sum(bottoms) when contexts are drawn anew."""
    contexts = len(tops)
    if contexts < MIN_CONTEXTS:
        return None, None
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
