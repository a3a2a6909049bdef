"""How well a judge's verdicts agree with the metric that backends are compared by."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from harness.report import format as printing
from harness.report.shares import clopper_pearson
from harness.report.stats import DRAWS, MIN_CONTEXTS, SEED, Estimate, Floats, Ints, expanded_tail
from harness.run.kept import Kept
from harness.run.metrics import JUDGED

RIGHT = 0.5  # from here on, a metric between 0 and 1 counts as right
Verdicts = npt.NDArray[np.bool_]


def agreement_notes(rows: Kept, metrics: Sequence[str]) -> Iterator[str]:
    """Yield a line with Cohen's kappa, for rows that a judge has seen; the headline is first."""
    gold = next((name for name in metrics if name != JUDGED), None)
    if JUDGED not in metrics or gold is None:
        return
    both = rows[[JUDGED, gold, "context"]].dropna()
    if both.empty:
        return
    said, right = (both[name].to_numpy() >= RIGHT for name in (JUDGED, gold))
    kappa = cohens_kappa(said, right, both["context"].to_numpy(np.int64))
    undefined = "not defined, as one of them is always the same"
    yield (
        f"The judge agrees with {gold} (right from {RIGHT} on) in {(said == right).mean():.2f} of "
        f"{len(both):,} answers; Cohen's kappa: {printing.interval(kappa) if kappa else undefined}."
        f" It calls {said.mean():.2f} right, {gold} {right.mean():.2f}."
    )


def cohens_kappa(one: Verdicts, other: Verdicts, contexts: Ints) -> Estimate | None:
    """Return the agreement beyond chance, with a bootstrap over contexts; see `stats`.

    All arrays are (n,); None where a side is constant. Where both agree in every context, as many
    unseen ones may disagree as the exact bound for "0 of so many" allows.

    Source: Cohen 1960, https://doi.org/10.1177/001316446002000104
    """
    if one.all() or other.all() or not (one.any() and other.any()):
        return None
    _, place = np.unique(contexts, return_inverse=True)
    kinds = [one & other, one & ~other, ~one & other, ~one & ~other]
    # How often each pair of verdicts occurs in each context, (contexts, 4).
    counts = np.stack([np.bincount(place, weights=kind) for kind in kinds], axis=1)
    value, n = float(_kappa(counts.sum(axis=0))), len(counts)
    if n < MIN_CONTEXTS:
        return Estimate(value, None, None, len(one), n)
    if value == 1.0:
        by_chance = 1 - 2 * one.mean() * (1 - one.mean())
        return Estimate(value, 1 - clopper_pearson(0, n)[1] / (1 - by_chance), 1.0, len(one), n)
    drawn = np.random.default_rng(SEED).integers(n, size=(DRAWS, n))
    kappas = _kappa(counts[drawn].sum(axis=1))
    tail = expanded_tail(n)
    low, high = np.nanquantile(kappas, [tail, 1 - tail])  # NaN: drawn without any difference
    return Estimate(value, float(low), float(high), len(one), n)


def _kappa(counts: Floats) -> Floats:
    """Return kappa from the counts of yes-yes, yes-no, no-yes and no-no, (..., 4)."""
    yes_yes, yes_no, no_yes, no_no = np.moveaxis(counts, -1, 0)
    total = counts.sum(axis=-1)
    one, other = (yes_yes + yes_no) / total, (yes_yes + no_yes) / total
    by_chance = one * other + (1 - one) * (1 - other)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa: Floats = ((yes_yes + no_no) / total - by_chance) / (1 - by_chance)
    return kappa
