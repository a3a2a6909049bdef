"""The interval of a mean between 0 and 1 over questions that share contexts.

It is Clopper and Pearson's exact interval at an effective number of questions: so many independent
yes-or-no questions would vary as much as these do. With one such question per context the number is
that of the contexts. Else the variance between contexts is compared with that of independent
yes-or-no questions (the design effect of Kish; Korn and Graubard 1998, Survey Methodology 24, for
the interval). Few contexts, or few questions that differ from the rest, say little about it: so
what they say is mixed with what is usual, and a t quantile stands for the normal one.

Percentiles of a bootstrap are too narrow near 0 and 1: where most contexts are all right, what is
resampled hardly varies. `tests/regression/coverage.py` simulates how often the interval holds the
true mean; docs/method.md has its table.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtri, stdtrit

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
Z = float(ndtri(1 - TAIL))
# What is usual, and how much it weighs. Chosen by the simulation.
PRIOR_CONTEXTS = 8  # it weighs as much as the variance between so many contexts
PRIOR_EVENTS = 2  # and as so many questions that differ from the rest, more in large contexts
FRACTION = 0.52  # variance of an F1 over that of a yes or no with the same mean
CORRELATION = {True: 1 / 3, False: 0.45}  # of a context's questions at a mean of 0.5: yes or no, F1


def clopper_pearson(hits: float, n: float) -> tuple[float, float]:
    """Return the exact interval for `hits` of `n` independent trials; both may be fractions."""
    low = 0.0 if hits <= 0 else float(betaincinv(hits, n - hits + 1, TAIL))
    high = 1.0 if hits >= n else float(betaincinv(hits + 1, n - hits, 1 - TAIL))
    return low, high


def share_interval(sums: Floats, counts: Floats, *, zero_one: bool) -> tuple[float, float]:
    """Return the interval of a mean, sum(sums) / sum(counts), of values between 0 and 1.

    Args:
        sums: of the values of each context, (contexts,).
        counts: of its questions, (contexts,).
        zero_one: whether every value is 0 or 1.
    """
    n, contexts = float(counts.sum()), len(counts)
    mean = float(sums.sum()) / n
    if zero_one and contexts == n:
        return clopper_pearson(round(mean * n), n)
    design = _design_effect(sums, counts, mean, zero_one=zero_one)
    t = float(stdtrit(contexts - 1 + PRIOR_CONTEXTS, 1 - TAIL))
    effective = n / design * (Z / t) ** 2
    # The sum of a thousand floats is a little beside 0 or n.
    share = 0.0 if mean < 1e-12 else 1.0 if mean > 1 - 1e-12 else mean
    return clopper_pearson(share * effective, effective)


def _design_effect(sums: Floats, counts: Floats, mean: float, *, zero_one: bool) -> float:
    """Return the variance of the mean over that of as many independent yes-or-no questions."""
    n, contexts = float(counts.sum()), len(counts)
    mean_count = float((counts**2).sum()) / n  # questions beside each other, as one of them sees it
    smoothed = (float(sums.sum()) + 0.5) / (n + 1)
    # Rare hits correlate less: for a latent correlation of 0.5 about as the cube root of p(1 - p).
    alike = CORRELATION[zero_one] * (4 * smoothed * (1 - smoothed)) ** (1 / 3)
    usual: float = (1.0 if zero_one else FRACTION) * (1 + (mean_count - 1) * alike)
    independent = n * mean * (1 - mean)
    if independent < 1e-9:
        return usual
    residuals = sums - mean * counts
    found = float((residuals**2).sum()) * contexts / (contexts - 1) / independent
    weight = (contexts - 1) / (contexts - 1 + PRIOR_CONTEXTS)
    weight *= independent / (independent + PRIOR_EVENTS * (1 + (mean_count - 1) / 10))
    lowest = 0.5 if zero_one else 0.1
    return float(min(max(weight * found + (1 - weight) * usual, lowest), max(mean_count, 1.0)))
