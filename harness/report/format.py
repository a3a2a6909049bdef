"""Numbers and tables as a person reads them: on a terminal or as Markdown.

Quantities come in base units and are given a unit here (GiB = 2**30). Nothing is computed.
"""

import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tabulate import tabulate

from harness.report.stats import Estimate

UNKNOWN = "-"
NAMES = 0.3  # of a terminal's width for a name; longer ones go on in the next line
GAP = 2  # spaces between columns
MIN_COLUMN = 8  # letters of a column that is broken into lines
_PAINT = re.compile(r"\x1b\[\d+m")


class Mark(StrEnum):
    """What a cell says beside its figure, as the code of its colour in a terminal."""

    BEST = "1"  # of its column: bold
    GOOD = "32"  # green
    BAD = "31"  # red
    OPEN = "33"  # yellow: not settled


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of text cells."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()  # about these rows, under the table
    legend: tuple[str, ...] = ()  # how to read any such table, once at the end of a report
    keys: int = 1  # leading columns that name a row
    marks: Mapping[tuple[int, int], Mark] = field(default_factory=dict)  # of (row, column)


@dataclass
class Page:
    """Headings, notes and tables one after the other, for a terminal or as Markdown."""

    markdown: bool
    width: int  # columns of the terminal
    colour: bool = False  # of a terminal that has it
    parts: list[str] = field(default_factory=list)

    def add_heading(self, text: str) -> None:
        """Add the name of a section."""
        text = _clean(text)
        lines = textwrap.wrap(text, self.width)
        ruled = "\n".join([*lines, "=" * max(map(len, lines), default=0)])
        drawn = _painted(ruled, Mark.BEST) if self.colour else ruled
        self.parts.append(f"### {_escaped(text)}" if self.markdown else drawn)

    def add_notes(self, notes: Sequence[str]) -> None:
        """Add sentences, each for itself."""
        lines = [
            f"- {_escaped(note)}" if self.markdown else paragraph(note, width=self.width)
            for note in notes
        ]
        self.parts += ["\n".join(lines)] if lines else []

    def add_table(self, table: Table) -> None:
        """Add a table with its title and its notes."""
        self.parts.append(
            _as_markdown(table) if self.markdown else as_text(table, self.width, colour=self.colour)
        )

    def text(self) -> str:
        """Return the page."""
        return "\n\n".join(self.parts) + "\n"


def interval(estimate: Estimate | None, *, signed: bool = False) -> str:
    """Return `0.91 [0.86, 0.95]`, or the mean alone where there is no interval."""
    if estimate is None:
        return UNKNOWN
    sign = "+" if signed else ""
    mean = f"{estimate.mean:{sign}.2f}"
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} [{estimate.low:{sign}.2f}, {estimate.high:{sign}.2f}]"


def seconds(value: float, figures: int = 3) -> str:
    """Return seconds with so many figures: `12.3 ms`, `1.23 s`."""
    if math.isnan(value):
        return UNKNOWN
    unit, shown = ("s", value) if value >= 1 else ("ms", value * 1000)
    return f"{_figures(shown, figures)} {unit}"


def size(value: float, figures: int = 3) -> str:
    """Return bytes with so many figures: `1.50 GiB`, `320 KiB`, `17 B`."""
    if math.isnan(value):
        return UNKNOWN
    for unit, bytes_ in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(value) >= bytes_:
            return f"{_figures(value / bytes_, figures)} {unit}"
    return f"{value:.0f} B"


def rate(value: float) -> str:
    """Return a rate or a ratio with three figures: `1,230`, `45.6`."""
    return UNKNOWN if math.isnan(value) else _figures(value)


def share(value: float | None) -> str:
    """Return a share, or a difference of two: `0.91`."""
    return UNKNOWN if value is None else f"{value:.2f}"


def count(value: float) -> str:
    """Return a whole number: `12,345`."""
    return UNKNOWN if math.isnan(value) else f"{value:,.0f}"


def _figures(value: float, figures: int = 3) -> str:
    """Return a number with so many figures, all of its digits before the point."""
    for decimals in range(figures - 1, 0, -1):
        if abs(value) < 10 ** (figures - decimals) - 0.5 * 10**-decimals:
            return f"{value:.{decimals}f}"
    return f"{value:,.0f}"


def _as_markdown(table: Table) -> str:
    """Return a bold title, a pipe table and a list of notes."""
    cells = [[_escaped(cell) for cell in row] for row in table.rows]
    for (row, column), mark in table.marks.items():
        if mark is Mark.BEST:
            cells[row][column] = f"**{cells[row][column]}**"
    header = [_escaped(cell) for cell in table.header]
    drawn = _tabulated(cells, header, style="pipe") if cells else ""
    notes = [f"- {_escaped(note)}" for note in table.notes]
    parts = [f"**{_escaped(table.title)}**", drawn, "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def as_text(table: Table, width: int, *, colour: bool = False) -> str:
    """Return a title, the table and its notes; a wide table goes on in a further block.

    The best figure of a column has a star; with `colour`, cells are painted as they are marked.
    """
    rows = [[_clean(cell) for cell in row] for row in table.rows]
    for (at, column), mark in table.marks.items():
        text = f"*{rows[at][column]}" if mark is Mark.BEST else rows[at][column]
        rows[at][column] = _painted(text, mark) if colour else text
    for row in rows:
        row[: table.keys] = (_wrapped(name, int(NAMES * width)) for name in row[: table.keys])
    columns = list(zip(map(_clean, table.header), *rows, strict=True)) if rows else []
    blocks = [_drawn(block) for block in _blocks(columns, keys=table.keys, width=width)]
    notes = [paragraph(note, width=width, indent="  ") for note in table.notes]
    return "\n".join(filter(None, [_clean(table.title), "\n\n".join(blocks), *notes]))


def paragraph(text: str, *, width: int, indent: str = "") -> str:
    """Return text in lines of at most `width`, those after the first indented further."""
    return textwrap.fill(
        _clean(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def _drawn(columns: Sequence[Sequence[str]]) -> str:
    """Return columns with the header in front, as tabulate's "simple" without its padding of 2."""
    ruled = [(column[0], "-" * _width(column), *column[1:]) for column in columns]
    return _tabulated(list(zip(*ruled, strict=True)), (), style="plain")


def _tabulated(rows: Sequence[Sequence[str]], header: Sequence[str], *, style: str) -> str:
    align = ["left", *["right"] * (len(rows[0]) - 1)]
    # Left to itself, tabulate would read "0012" as the number 12.
    return tabulate(rows, header, tablefmt=style, disable_numparse=True, colalign=align)


def _blocks(
    columns: Sequence[Sequence[str]], *, keys: int, width: int
) -> Iterator[list[Sequence[str]]]:
    """Yield the columns that fit beside each other, those that name a row always among them."""
    names = columns[:keys]
    room = width - sum(map(_width, names)) - GAP * (keys - 1)
    block, used = list(names), 0
    for wide in columns[keys:]:
        column = wide if _width(wide) <= room - GAP else _narrowed(wide, room - GAP)
        used += GAP + _width(column)
        if used > room and len(block) > keys:
            yield block
            block, used = list(names), GAP + _width(column)
        block.append(column)
    if block:
        yield block


def _narrowed(column: Sequence[str], width: int) -> list[str]:
    """Return a column of texts broken into lines; paint stays whole, as it is on figures alone."""
    return [
        cell if _PAINT.search(cell) else _wrapped(cell, max(width, MIN_COLUMN)) for cell in column
    ]


def _width(column: Sequence[str]) -> int:
    return max(len(_PAINT.sub("", line)) for cell in column for line in cell.split("\n"))


def _painted(text: str, mark: Mark) -> str:
    return "\n".join(f"\x1b[{mark}m{line}\x1b[0m" for line in text.split("\n"))


def _wrapped(name: str, width: int) -> str:
    """Return a name in lines that are broken after commas and spaces, or else anywhere."""
    lines = [""]
    for piece in re.findall("[^, ]*[, ]|[^, ]+", name):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(
        line[at : at + width].rstrip() for line in lines for at in range(0, len(line) or 1, width)
    )


def _clean(text: str) -> str:
    """Return text on one line: names come from files, and a terminal obeys what it is sent."""
    return "".join(char if char.isprintable() else " " for char in text)


def _escaped(text: str) -> str:
    return _clean(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
