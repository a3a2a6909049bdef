"""Numbers and tables as a person reads them: on a terminal or as Markdown.

Quantities come in base units and are given a unit here (GiB = 2**30). Nothing is computed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from harness.stats import Estimate

UNKNOWN = "-"
NAME_WIDTH = 34  # of a backend's name on a terminal; longer ones go on in the next line
GAP = 2  # spaces between columns


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of text cells; the first column names the row."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def interval(estimate: Estimate | None, *, signed: bool = False) -> str:
    """Return `0.91 [0.86, 0.95]`, or the mean alone where there is no interval."""
    if estimate is None:
        return UNKNOWN
    sign = "+" if signed else ""
    mean = f"{estimate.mean:{sign}.2f}"
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} [{estimate.low:{sign}.2f}, {estimate.high:{sign}.2f}]"


def seconds(value: float) -> str:
    """Return seconds with three figures: `12.3 ms`, `1.23 s`."""
    if math.isnan(value):
        return UNKNOWN
    return f"{_figures(value)} s" if value >= 1 else f"{_figures(value * 1000)} ms"


def size(value: float) -> str:
    """Return bytes with three figures: `1.50 GiB`, `320 KiB`, `17 B`."""
    if math.isnan(value):
        return UNKNOWN
    for unit, bytes_ in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(value) >= bytes_:
            return f"{_figures(value / bytes_)} {unit}"
    return f"{value:.0f} B"


def rate(value: float) -> str:
    """Return a rate or a ratio with three figures: `1,230`, `45.6`."""
    return UNKNOWN if math.isnan(value) else _figures(value)


def count(value: float) -> str:
    """Return a whole number: `12,345`."""
    return UNKNOWN if math.isnan(value) else f"{value:,.0f}"


def _figures(value: float) -> str:
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"


def as_markdown(table: Table) -> str:
    """Return a bold title, a pipe table and a list of notes."""
    cells = [[_escaped(cell) for cell in row] for row in table.rows]
    header = [_escaped(cell) for cell in table.header]
    notes = [f"- {_escaped(note)}" for note in table.notes]
    parts = [f"**{_escaped(table.title)}**", _drawn(header, cells, style="pipe"), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def as_text(table: Table, width: int) -> str:
    """Return a title, the table and its notes; a wide table goes on in a further block."""
    rows = [(_wrapped(row[0]), *map(_clean, row[1:])) for row in table.rows]
    header = tuple(map(_clean, table.header))
    lines = [table.title]
    for columns in _blocks(header, rows, width=width):
        part = [[row[column] for column in columns] for row in rows]
        lines += [_drawn([header[column] for column in columns], part, style="simple"), ""]
    return "\n".join([*lines[: -1 if rows else None], *(f"  {_clean(note)}" for note in table.notes)])


def _drawn(header: Sequence[str], rows: Sequence[Sequence[str]], *, style: str) -> str:
    if not rows:
        return ""
    align = ["left", *["right"] * (len(header) - 1)]
    # Left to itself, tabulate would read "0012" as the number 12.
    return tabulate(rows, header, tablefmt=style, disable_numparse=True, colalign=align)


def _blocks(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int
) -> Iterator[list[int]]:
    """Yield the columns that fit beside each other, the first one always among them."""
    widths = [
        max(len(line) for cell in cells for line in cell.split("\n"))
        for cells in zip(header, *rows, strict=True)
    ]
    block, used = [0], widths[0]
    for column in range(1, len(header)):
        used += GAP + widths[column]
        if used > width and len(block) > 1:
            yield block
            block, used = [0], widths[0] + GAP + widths[column]
        block.append(column)
    yield block


def _wrapped(name: str) -> str:
    """Return a name in lines that are broken after commas, or anywhere if they must be."""
    lines = [""]
    for piece in _clean(name).replace(",", ",\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(piece) > NAME_WIDTH:
            lines.append("")
        lines[-1] += piece
    return "\n".join(
        line[at : at + NAME_WIDTH] for line in lines for at in range(0, len(line) or 1, NAME_WIDTH)
    )


def _clean(text: str) -> str:
    """Return text on one line: names come from files, and a terminal obeys what it is sent."""
    return "".join(char if char.isprintable() else " " for char in text)


def _escaped(text: str) -> str:
    return _clean(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
