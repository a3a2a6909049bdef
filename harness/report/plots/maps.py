"""Maps of scores over the size of a context and the depth of the answer in it."""

from collections.abc import Iterator, Mapping

import numpy as np

from harness.report import format as printing
from harness.report.contrasts import paired
from harness.report.estimates import estimates_by, ordered, with_n
from harness.report.format import Table
from harness.report.plots.shapes import Cell, Chart, HeatMap
from harness.report.sections import CEILING, Section, rank_of
from harness.report.stats import Estimate, difference_estimate

SIZE, DEPTH = "tokens", "depth"  # the slices of a map
LAST = 2  # the rank of floors and controls


def maps(section: Section) -> Iterator[Chart]:
    """Yield a map over size and depth for each backend, then of its difference to full context."""
    if not section.metrics or not {SIZE, DEPTH} <= set(section.slices):
        return
    main, ceilings = section.metrics[0], section.backends_named(CEILING)[:1]
    means = estimates_by(section.counted, main, [DEPTH, SIZE])
    for backend in section.backends:
        found = {
            (place[0], place[1]): of_backends[backend]
            for place, of_backends in means.items()
            if backend in of_backends
        }
        if found:
            yield _map(backend, f"map-{backend}", f"{main} of {backend}", found)
    for ceiling in ceilings:
        for backend in section.backends:
            if backend != ceiling and (found := _differences(section, backend, ceiling)):
                name, title = f"map-{backend}-minus-{ceiling}", f"{main}: {backend} minus {ceiling}"
                yield _map(backend, name, title, found, signed=True)


def _map(
    backend: str,
    name: str,
    title: str,
    found: Mapping[tuple[str, str], Estimate],
    *,
    signed: bool = False,
) -> Chart:
    """Return a map of a backend's estimates by (depth, size)."""
    rows, columns = (tuple(ordered(dict.fromkeys(place[at] for place in found))) for at in (0, 1))
    cells = {
        (row, column): Cell(
            one.mean,
            f"{one.mean:{'+' if signed else ''}.2f}\nn={one.n}",
            f"{DEPTH} {row}, {column} {SIZE}: {printing.interval(one, signed=signed)}, n={one.n}",
        )
        for (row, column), one in found.items()
    }
    texts = tuple(
        (row, *(with_n(found.get((row, column)), 0, signed=signed) for column in columns))
        for row in rows
    )
    what = "the paired difference" if signed else "the mean"
    return Chart(
        name,
        title,
        f"Each cell shows {what} and its n; the table has the 95 % intervals.",
        HeatMap(SIZE, DEPTH, columns, rows, cells, diverging=signed),
        Table(title, (DEPTH, *(f"{column} {SIZE}" for column in columns)), texts),
        aside=rank_of(backend) == LAST,
    )


def _differences(section: Section, backend: str, other: str) -> dict[tuple[str, str], Estimate]:
    """Return the paired differences of two backends, by depth and size."""
    both = paired(section.counted, section.metrics[0], (backend, other), (DEPTH, SIZE))
    return {
        (str(depth), str(size)): difference_estimate(
            rows[backend].to_numpy(np.float64),
            rows[other].to_numpy(np.float64),
            rows["context"].to_numpy(np.int64),
        )
        for (depth, size), rows in both.groupby([DEPTH, SIZE], sort=False)
        if depth and size
    }
