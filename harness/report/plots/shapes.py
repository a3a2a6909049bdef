"""What a picture shows, as values: heat maps, points, bars, ranges, lines.

draw.py draws them. Every number in them was computed elsewhere, and every part has a tooltip
(`tip`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.report.format import Table


@dataclass(frozen=True, slots=True)
class Point:
    """A figure with its interval, at a place of a chart."""

    label: str  # a backend
    x: float
    y: float
    low: float | None
    high: float | None
    tip: str
    marked: bool = False  # on the Pareto front


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a heat map."""

    value: float
    text: str  # printed in it
    tip: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of parts that add up; a part that is not known is NaN and not drawn."""

    label: str
    parts: tuple[float, ...]
    tips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Values from 0 to 1 over two sizes: columns to the right, rows downwards."""

    x_label: str
    y_label: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]  # (row, column)
    diverging: bool  # the values are differences, from -1 to 1


@dataclass(frozen=True, slots=True)
class Points:
    """Backends by what they cost and what they score."""

    x_label: str
    y_label: str
    points: tuple[Point, ...]
    show_x: Callable[[float], str]
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Labels whose points are joined and look alike, by their common name."""
    floors: tuple[Point, ...] = ()  # without a value of x: drawn as horizontal lines


@dataclass(frozen=True, slots=True)
class Stacks:
    """Bars of named parts."""

    x_label: str
    names: tuple[str, ...]
    bars: tuple[Bar, ...]
    show: Callable[[float], str]
    is_whole: bool = False  # the parts add up to 1: label each part, not their sum


@dataclass(frozen=True, slots=True)
class Ranges:
    """A few figures with intervals for each backend, on one scale from 0 to 1."""

    x_label: str
    names: tuple[str, ...]
    points: Mapping[str, tuple[Point | None, ...]]  # of each backend, one for each name


@dataclass(frozen=True, slots=True)
class Line:
    """Values over a count."""

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Times over the number of questions, both axes logarithmic."""

    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    show_y: Callable[[float], str]


Drawing = HeatMap | Points | Stacks | Ranges | Lines


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with what it shows in words and in a table."""

    name: str  # of a file: letters, digits and hyphens
    title: str
    description: str
    drawing: Drawing
    table: Table
    aside: bool = False  # about a floor or a control
