"""The table of costs: a row for each backend, and for each size of a sweep that scores nothing."""

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import pandas as pd

from harness.report import best
from harness.report import format as printing
from harness.report.best import Figure
from harness.report.costs import HEADINGS, HELD, Costs, measured, too_busy
from harness.report.format import Mark, Table
from harness.report.sections import Section
from harness.report.tables import errors_by_backend, notices
from harness.run.kept import Kept

SIZES = ("held", "peak")  # of a machine that did other work, the only costs that are right
LEGEND = (
    "Costs are medians over contexts; the peak is the highest one and includes the weights. First "
    "token: time to the first token after the context was read. tokens/s: speed after the first "
    "token. overall: new tokens per second, prepare included.",
    "per question, N asked: time per question if N questions are asked about one context, prepare "
    "included.",
)


def of_backend(section: Section, backend: str) -> Costs:
    """Return the costs of all rows of a backend."""
    return section.once(("costs", backend), lambda: measured(section.rows.of(backend)))


def cost_groups(section: Section) -> tuple[list[str], dict[tuple[str, ...], Kept]]:
    """Return the columns that split a backend's rows (none, or a sweep's), and the rows by them.

    The key of a group is the backend and its value in each of the columns; sizes rise.
    """
    keys = _keys(section)
    groups: dict[tuple[str, ...], Kept] = {}
    for backend in section.backends:
        of_backend = section.rows.of(backend)
        sizes = of_backend.distinct(keys) if keys else pd.DataFrame(index=[0])
        for size in sizes.dropna().itertuples(index=False):
            groups[backend, *map(_name, size)] = _of_size(of_backend, keys, size)
    backends = section.backends
    ordered = sorted(groups, key=lambda key: (*map(_rank, key[1:]), backends.index(key[0])))
    return keys, {key: groups[key] for key in ordered}


def _of_size(rows: Kept, keys: Sequence[str], size: Sequence[object]) -> Kept:
    for name, value in zip(keys, size, strict=True):
        rows = rows.where(name, partial(operator.eq, value))
    return rows


def group_costs(section: Section) -> dict[tuple[str, ...], Costs]:
    """Return the costs of each of the `cost_groups`."""
    _, groups = cost_groups(section)
    return section.once(
        "costs of groups", lambda: {key: measured(rows) for key, rows in groups.items()}
    )


def cost_tables(section: Section) -> Iterator[Table]:
    """Yield a table if costs are known: a row per backend; without scores, a row per size too."""
    keys, groups = cost_groups(section)
    costs = group_costs(section)
    cells = [_cells(costs[key], rows) for key, rows in groups.items()]
    shown = [name for name in cells[0] if any(row[name][1] != printing.UNKNOWN for row in cells)]
    if not shown:
        return
    figures = [[row[name][1] for name in shown] for row in cells]
    busy = too_busy({", ".join(key): of_group for key, of_group in costs.items()})
    fair = [at for at, name in enumerate(shown) if name in SIZES or not busy]
    marks = dict(_marks(list(groups), [[row[name] for name in shown] for row in cells], fair))
    kinds = memory_kinds(section.rows)
    # A suite with metrics shows its errors and notices with the answers.
    notes = [] if section.metrics else [*_failures(groups), *notices(section.rows)]
    if busy:
        notes.append(busy)
    yield Table(
        f"Costs (peak: {', '.join(kinds)})" if kinds else "Costs",
        ("backend", *keys, *shown),
        tuple((*key, *row) for key, row in zip(groups, figures, strict=True)),
        tuple(notes),
        (*LEGEND, *([best.LEGEND] if marks else [])),
        keys=1 + len(keys),
        marks=marks,
    )


def _marks(
    groups: Sequence[tuple[str, ...]], rows: Sequence[Sequence[Figure]], fair: Sequence[int]
) -> Iterator[tuple[tuple[int, int], Mark]]:
    """Yield the best figures of the columns that are `fair`, in a sweep among rows of one size."""
    for size in dict.fromkeys(group[1:] for group in groups):
        places = [at for at, group in enumerate(groups) if group[1:] == size]
        of_size = list(zip(*(rows[at] for at in places), strict=True))
        columns = {at + len(size) + 1: of_size[at] for at in fair}
        for (place, column), mark in best.marked([groups[at][0] for at in places], columns):
            yield (places[place], column), mark


def _keys(section: Section) -> list[str]:
    """Return the columns by which rows are split beside the backend: the sizes of a sweep."""
    if section.metrics:
        return []
    several = section.rows.distinct([HELD])[HELD].nunique() > 1
    return [*section.slices, *([HELD] if several else [])]


def memory_kinds(rows: Kept) -> list[str]:
    """Return how the memory of some rows was counted, each way once."""
    return [kind for kind in rows.distinct(["memory_kind"])["memory_kind"] if kind]


def _failures(groups: Mapping[tuple[str, ...], Kept]) -> Iterator[str]:
    """Yield the errors of groups whose row shows the figures of other, successful samples."""
    for key, rows in groups.items():
        if rows.has("prepare_s"):
            for codes in errors_by_backend(rows).values():
                yield f"{', '.join(key)}: {codes}"


def _name(value: object) -> str:
    return printing.count(value) if isinstance(value, float) else str(value)


def _cells(costs: Costs, rows: Kept) -> Mapping[str, Figure]:
    """Return the cells of one table row by column, without the backend: less is better."""
    per_question = {heading: costs.per_question_s(n) for n, heading in HEADINGS.items()}
    times = {"prepare": costs.prepare_s, "first token": costs.first_s, "asked again": costs.again_s}
    overall = costs.overall_rate if costs.first_s > 0 else math.nan
    rates = {"tokens/s": costs.decode_rate, "overall": overall}
    sizes = dict(zip(SIZES, (costs.held_bytes, costs.peak_bytes), strict=True))
    cells = {
        **{name: (value, printing.seconds(value)) for name, value in times.items()},
        **{name: (-value, printing.rate(value)) for name, value in rates.items()},
        **{name: (value, printing.size(value)) for name, value in sizes.items()},
        **{name: (value, printing.seconds(value)) for name, value in per_question.items()},
    }
    errors = ", ".join(error for error in rows.distinct(["error"])["error"] if error)
    if errors and math.isnan(costs.prepare_s):
        cells["prepare"] = costs.prepare_s, errors
    return cells


def _rank(value: str) -> tuple[float, str]:
    """Return a sort key that puts numbers by size and leaves words after them."""
    try:
        return float(value), ""
    except ValueError:
        return math.inf, value
