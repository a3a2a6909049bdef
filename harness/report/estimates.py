"""The mean of a metric for each backend, with its interval, of all rows or slice by slice."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from harness.report import format as printing
from harness.report import stats
from harness.run.kept import Kept


def estimates(rows: Kept, metric: str) -> dict[str, stats.Estimate]:
    """Return the mean of a metric for each backend that has one."""
    return {
        backend: _mean(known, metric)
        for backend in rows.backends
        if len(known := rows.of(backend).having(metric)[["context", metric]])
    }


def estimates_by(
    rows: Kept, metric: str, slices: Sequence[str]
) -> dict[tuple[str, ...], dict[str, stats.Estimate]]:
    """Return the mean of a metric for each value of some slices, and each backend that has one."""
    found: dict[tuple[str, ...], dict[str, stats.Estimate]] = {}
    for backend in rows.backends:
        of_backend = rows.of(backend)
        for name in slices:
            of_backend = of_backend.where(name, lambda values: values != "")
        frame = of_backend[["context", metric, *slices]]
        for values, own in frame.groupby(list(slices), sort=False):
            of_values = found.setdefault(tuple(map(str, values)), {})
            known = own[own[metric].notna()]
            if len(known):
                of_values[backend] = _mean(known, metric)
    return {values: of_values for values, of_values in found.items() if of_values}


def _mean(known: pd.DataFrame, metric: str) -> stats.Estimate:
    return stats.mean_estimate(
        known[metric].to_numpy(np.float64), known["context"].to_numpy(np.int64)
    )


def with_n(estimate: stats.Estimate | None, n: int, *, signed: bool = False) -> str:
    """Return an interval, with its own n where it differs from the `n` beside it."""
    shown = printing.interval(estimate, signed=signed)
    return shown if estimate is None or estimate.n == n else f"{shown} n={estimate.n:,}"


def ordered(values: Collection[str]) -> list[str]:
    """Return slice values by size if they are numbers, else as they came."""
    try:
        return sorted(values, key=float)
    except ValueError:
        return list(values)
