"""Maps of answers over the size of a context and the depth of what is asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from harness import printing, stats
from harness.plots.answers import with_own_n
from harness.plots.shapes import Cell, Chart, HeatMap
from harness.printing import Table
from harness.stats import Estimate
from harness.tables import CEILING, Section, estimates, rank_of

SIZE, DEPTH = "tokens", "depth"  # the slices of a map
LAST = 2  # the rank of floors and controls


def maps(section: Section) -> Iterator[Chart]:
    """Yield a map over size and depth for each arm, then of its difference to full context."""
    if not section.metrics or not {SIZE, DEPTH} <= set(section.slices):
        return
    frame = section.counted
    frame = frame[(frame[SIZE] != "") & (frame[DEPTH] != "")]
    main, ceilings = section.metrics[0], section.arms_named(CEILING)[:1]
    cells = {
        (str(depth), str(size)): rows
        for (depth, size), rows in frame.groupby([DEPTH, SIZE], sort=False)
    }
    means = {place: estimates(rows, main) for place, rows in cells.items()}
    for arm in section.arms:
        found = {place: of_arms[arm] for place, of_arms in means.items() if arm in of_arms}
        if found:
            one = _map(f"map-{arm}", f"{main} of {arm}", found)
            yield replace(one, aside=rank_of(arm) == LAST)
    for ceiling in ceilings:
        for arm in section.arms:
            differences = {
                place: difference
                for place, rows in cells.items()
                if arm != ceiling and (difference := _difference(rows, main, arm, ceiling))
            }
            if differences:
                title = f"{main}: {arm} minus {ceiling}"
                one = _map(f"map-{arm}-minus-{ceiling}", title, differences, signed=True)
                yield replace(one, aside=rank_of(arm) == LAST)


def _map(
    name: str, title: str, found: Mapping[tuple[str, str], Estimate], *, signed: bool = False
) -> Chart:
    """Return a map of estimates by (depth, size)."""
    rows, columns = (_numeric({place[at] for place in found}) for at in (0, 1))
    cells = {
        (row, column): Cell(
            one.mean,
            f"{one.mean:{'+' if signed else ''}.2f}\nn={one.n}",
            f"{DEPTH} {row}, {column} {SIZE}: {printing.interval(one, signed=signed)}, n={one.n}",
        )
        for (row, column), one in found.items()
    }
    texts = tuple(
        (row, *(with_own_n(found.get((row, column)), signed=signed) for column in columns))
        for row in rows
    )
    what = "the paired difference" if signed else "the mean"
    return Chart(
        name,
        title,
        f"In each cell {what} with its n; the table has the 95 % intervals.",
        HeatMap(SIZE, DEPTH, columns, rows, cells, -1.0 if signed else 0.0, 1.0, diverging=signed),
        Table(title, (DEPTH, *(f"{column} {SIZE}" for column in columns)), texts),
    )


def _difference(rows: pd.DataFrame, metric: str, arm: str, other: str) -> Estimate | None:
    """Return the paired difference of two arms; None if they share no question."""
    paired = rows.pivot(index=["context", "question"], columns="backend", values=metric)
    known = paired.reindex(columns=[arm, other]).dropna()
    if known.empty:
        return None
    contexts = known.index.get_level_values("context").to_numpy(np.int64)
    first, second = known.to_numpy(np.float64).T
    return stats.difference_estimate(first, second, contexts)


def _numeric(values: set[str]) -> tuple[str, ...]:
    """Return slice values by size if they are numbers, else by the alphabet."""
    try:
        return tuple(sorted(values, key=float))
    except ValueError:
        return tuple(sorted(values))
