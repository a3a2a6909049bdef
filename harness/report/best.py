"""The best figure of a column: among what a person could use, as it is printed."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

from harness.report import format as printing
from harness.report.format import Mark
from harness.report.sections import INVALID, is_usable
from harness.run import metrics, plugins

Name = TypeVar("Name", bound=Hashable)
Figure = tuple[float, str]  # the less the better; and what is printed, where equals are equal
UNKNOWN: Figure = (math.nan, printing.UNKNOWN)
LEGEND = (
    "With a star, or bold: the best of its column. Floors, controls and backends that failed a "
    "check are left out."
)


def best_of(figures: Mapping[Name, Figure]) -> frozenset[Name]:
    """Return the names with the best figure; none where all are printed alike or not known."""
    known = {name: one for name, one in figures.items() if not math.isnan(one[0])}
    if len({text for _, text in known.values()}) < 2:
        return frozenset()
    best = min(known.values())[1]
    return frozenset(name for name, (_, text) in known.items() if text == best)


def marked(
    names: Sequence[str], columns: Mapping[int, Sequence[Figure]]
) -> Iterator[tuple[tuple[int, int], Mark]]:
    """Yield the places of a table, a row for each backend of `names`, with a column's best."""
    usable = [at for at, name in enumerate(names) if is_usable(name) and INVALID not in name]
    for column, figures in columns.items():
        for at in best_of({at: figures[at] for at in usable}):
            yield (at, column), Mark.BEST


def signs() -> dict[str, int]:
    """Return 1 for metrics of which less is better, -1 where more is; others are not in it."""
    known = {"lower": 1, "higher": -1}
    everything = (*plugins.metrics(), *metrics.METRICS)
    return {one.name: known[one.better] for one in everything if one.better in known}
