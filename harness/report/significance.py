"""p-values for paired backends, and what a comparison of this size could have found.

The unit is the context, as in stats.py. Where each context has one question and the metric says
yes or no: McNemar's exact test. Else signs are flipped context by context: for equal backends, each
context's difference is as likely with the other sign (all sign patterns for few contexts, `FLIPS`
drawn ones for more, the normal limit for many).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

from harness.report.stats import (
    LEVEL,
    SEED,
    Estimate,
    Floats,
    Ints,
    checked,
    difference_estimate,
    is_zero_one,
    per_context,
)

POWER = 0.8  # of the minimum detectable difference
FLIPS = 4999
MIN_TESTED = 6  # contexts: 5 with one sign have a p of 2 / 32, above 0.05
MANY_DIFFERENT = 300  # contexts with a difference; above it the normal limit is as good
MCNEMAR, SIGN_FLIP = "McNemar", "sign flip"


@dataclass(frozen=True, slots=True)
class Contrast:
    """One backend minus another, over questions that both answered."""

    difference: Estimate
    test: str  # MCNEMAR or SIGN_FLIP
    p: float  # two-sided
    detectable: float | None  # None: no spread between contexts to compute it from
    first: float  # the means of both
    second: float

    @property
    def is_above_zero(self) -> bool:
        """Whether the first backend is better, by the paired test."""
        return self.difference.mean > 0 and self.p < 1 - LEVEL


def contrast(first: Floats, second: Floats, contexts: Ints) -> Contrast:
    """Compare a metric between 0 and 1 of two backends; arrays as in stats.py.

    Raises:
        ValueError: as in stats.py, for arrays that nothing can be estimated from.
    """
    checked(first, second, contexts=contexts)
    sums, counts = per_context(first - second, contexts)
    alone = len(sums) == len(first)
    if alone and is_zero_one(first) and is_zero_one(second):
        test, p = MCNEMAR, _mcnemar(sums)
    else:
        test, p = SIGN_FLIP, _sign_flip(sums)
    found = difference_estimate(first, second, contexts)
    means = float(first.mean()), float(second.mean())
    return Contrast(found, test, p, _detectable(sums, counts), *means)


def sign_flip_p(differences: Floats, contexts: Ints) -> float:
    """Return the two-sided p of differences whose mean is 0, signs flipped context by context.

    For a tolerance, take it from the differences first.

    Raises:
        ValueError: as in stats.py.
    """
    checked(differences, contexts=contexts)
    sums, _ = per_context(differences, contexts)
    return _sign_flip(sums)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's method, in the same order."""
    order = np.argsort(p_values)
    rising = np.sort(p_values) * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(rising))
    return [float(p) for p in adjusted]


def _mcnemar(differences: Floats) -> float:
    """Return the exact p of so many wins and losses, if either were as likely."""
    from scipy import stats

    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def _sign_flip(sums: Floats) -> float:
    """Return how often flipped signs give a sum as far from 0 as this one.

    Contexts without a difference are the same whatever their sign.
    """
    from scipy import stats

    sums = sums[np.abs(sums) > 1e-12]
    if len(sums) < 2:  # one sign or the other: both are as far from 0
        return 1.0
    if len(sums) > MANY_DIFFERENT:
        return float(2 * ndtr(-abs(sums.sum()) / math.sqrt((sums**2).sum())))
    found = stats.permutation_test(
        (sums,),
        lambda flipped, axis: flipped.sum(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


def _detectable(sums: Floats, counts: Floats) -> float | None:
    """Return the true difference that a test at 5 % finds in 80 of 100 such comparisons.

    From the spread of the differences between contexts, as with standard errors clustered by
    context; the t distribution makes up for few of them.
    """
    contexts = len(sums)
    residuals = sums - sums.sum() / counts.sum() * counts
    squares = float((residuals**2).sum())
    if contexts < 2 or squares < 1e-18:
        return None
    error = math.sqrt(squares * contexts / (contexts - 1)) / counts.sum()
    quantiles = stdtrit(contexts - 1, (1 + LEVEL) / 2) + stdtrit(contexts - 1, POWER)
    return float(quantiles * error)
