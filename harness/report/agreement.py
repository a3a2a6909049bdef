"""How well a judge's verdicts agree with the metric that backends are compared by."""

from collections.abc import Iterator, Sequence

import pandas as pd

from harness.run.kept import Kept
from harness.run.metrics import JUDGED

RIGHT = 0.5  # from here on, a metric between 0 and 1 counts as right


def agreement_notes(rows: Kept, metrics: Sequence[str]) -> Iterator[str]:
    """Yield a line with Cohen's kappa, for rows that a judge has seen.

    Args:
        rows: those of a section.
        metrics: of the section, the headline first.
    """
    gold = next((name for name in metrics if name != JUDGED), None)
    if JUDGED not in metrics or gold is None:
        return
    both = rows[[JUDGED, gold]].dropna()
    if both.empty:
        return
    said, right = both[JUDGED] >= RIGHT, both[gold] >= RIGHT
    kappa = cohens_kappa(said, right)
    shown = "not defined, as one of them is always the same" if kappa is None else f"{kappa:.2f}"
    yield (
        f"The judge agrees with {gold} (right from {RIGHT} on) in {(said == right).mean():.2f} of "
        f"{len(both):,} answers; Cohen's kappa: {shown}. It calls {said.mean():.2f} right, {gold} "
        f"{right.mean():.2f}."
    )


def cohens_kappa(one: "pd.Series[bool]", other: "pd.Series[bool]") -> float | None:
    """Return the agreement beyond chance; None where a side is constant.

    Source: Cohen 1960, https://doi.org/10.1177/001316446002000104
    """
    if one.nunique() < 2 or other.nunique() < 2:
        return None
    by_chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    return float(((one == other).mean() - by_chance) / (1 - by_chance))
