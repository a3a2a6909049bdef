"""Pictures of figures that were computed elsewhere, as matplotlib figures, for a file or a page.

The tooltip of a part is tied to it by its gid: `Canvas.tip`.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.report.plots import look
from harness.report.plots.look import COLOURS, GREY, INK, MARKERS, WIDTH, Canvas, short
from harness.report.plots.shapes import Drawing, HeatMap, Lines, Point, Points, Ranges, Stacks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(drawing: Drawing, backends: Sequence[str]) -> tuple["Figure", dict[str, str]]:
    """Return a figure of the drawing, and the tip of each of its parts by gid.

    To be called, and the figure saved, within `look.in_style()`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, _height(drawing)), layout="constrained")
    canvas = Canvas(figure, figure.add_subplot(), backends)
    match drawing:
        case HeatMap():
            _heat_map(canvas, drawing)
        case Points():
            _points(canvas, drawing)
        case Stacks():
            _stacks(canvas, drawing)
        case Ranges():
            _ranges(canvas, drawing)
        case Lines():
            _lines(canvas, drawing)
    return figure, canvas.tips


def _height(drawing: Drawing) -> float:
    match drawing:
        case HeatMap():
            return 0.9 + 0.44 * len(drawing.rows)
        case Points():
            return 2.5 + look.legend_height([*_named(drawing).values(), "front"])
        case Stacks():
            return 1.2 + 0.46 * len(drawing.bars)
        case Ranges():
            return 1.2 + (0.2 + 0.2 * len(drawing.names)) * len(drawing.points)
        case Lines():
            return 2.5 + look.legend_height([line.label for line in drawing.lines])


def _heat_map(canvas: Canvas, drawing: HeatMap) -> None:
    import matplotlib
    from matplotlib.patches import Rectangle

    axes = canvas.axes
    colours = matplotlib.colormaps["PuOr" if drawing.diverging else "cividis"]
    for (row, column), cell in drawing.cells.items():
        x, y = drawing.columns.index(column), drawing.rows.index(row)
        colour = colours((cell.value - drawing.low) / (drawing.high - drawing.low))
        gid = canvas.tip(cell.tip)
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor=GREY, lw=0.5, gid=gid))
        letters = "#000000" if _brightness(colour) > 0.179 else "#ffffff"
        axes.text(x + 0.5, y + 0.5, cell.text, ha="center", va="center", color=letters, fontsize=8)
    for y, row in enumerate(drawing.rows):
        for x, column in enumerate(drawing.columns):
            if (row, column) not in drawing.cells:
                axes.text(x + 0.5, y + 0.5, "-", ha="center", va="center")
    axes.set(xlim=(0, len(drawing.columns)), ylim=(len(drawing.rows), 0))
    axes.set_xticks([x + 0.5 for x in range(len(drawing.columns))], drawing.columns)
    axes.set_yticks([y + 0.5 for y in range(len(drawing.rows))], drawing.rows)
    axes.set_xlabel(drawing.x_label)
    axes.set_ylabel(drawing.y_label)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _brightness(colour: Sequence[float]) -> float:
    """Return the relative luminance of a colour, by which WCAG chooses white or black letters."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _points(canvas: Canvas, drawing: Points) -> None:
    axes = canvas.axes
    at = {point.label: point for point in drawing.points}
    for labels in drawing.families.values():
        joined = sorted((at[label] for label in labels), key=lambda point: point.x)
        colour = canvas.colour(labels[0])
        axes.plot([p.x for p in joined], [p.y for p in joined], color=colour, lw=1, zorder=1)
    first = {label: labels[0] for labels in drawing.families.values() for label in labels}
    names = _named(drawing)
    for point in drawing.floors:
        _floor(canvas, point, names[point.label])
    for point in drawing.points:
        alike = first.get(point.label, point.label)
        _point(canvas, point, alike, names.get(point.label, "_"))
    front = sorted((point for point in drawing.points if point.marked), key=lambda p: p.x)
    if front:
        steps = [p.x for p in front], [p.y for p in front]
        axes.plot(*steps, color=INK, lw=0.9, ls=(0, (2, 2)), drawstyle="steps-post", zorder=0)
        axes.plot(*steps, ls="", marker="o", ms=13, mfc="none", mec=INK, zorder=2, label="front")
    axes.set_xscale("log")
    axes.set(xlabel=drawing.x_label, ylabel=drawing.y_label)
    axes.set_ylim(*_limits(drawing))
    look.ticks(axes, [point.x for point in drawing.points], drawing.show_x)
    axes.grid(axis="y")
    look.legend(canvas)


def _named(drawing: Points) -> dict[str, str]:
    """Return what the legend calls a point; only one of a family is in it."""
    of_family = {labels[0]: name for name, labels in drawing.families.items()}
    others = {label for labels in drawing.families.values() for label in labels[1:]}
    labels = [point.label for point in (*drawing.floors, *drawing.points)]
    return {label: of_family.get(label, label) for label in labels if label not in others}


def _floor(canvas: Canvas, point: Point, name: str) -> None:
    """Draw a point without a place on the axis as a line across."""
    colour, dashes = canvas.colour(point.label), canvas.dashes(point.label)
    gid = canvas.tip(point.tip)
    canvas.axes.axhline(
        point.y, color=colour, lw=1.6, ls=dashes, label=short(name), gid=gid, zorder=0
    )


def _point(canvas: Canvas, point: Point, alike: str, name: str) -> None:
    """Draw a point with its interval in the look of the backend `alike`; `_` is in no legend."""
    ends = [(point.x, end) for end in (point.low, point.high)]
    look_of = {"color": canvas.colour(alike), "marker": canvas.marker(alike), "label": short(name)}
    _mark(canvas, point, (point.x, point.y), ends, **look_of)


def _mark(
    canvas: Canvas,
    point: Point,
    place: tuple[float, float],
    ends: Sequence[tuple[float | None, float | None]],
    **look_of: Any,
) -> None:
    """Draw a figure at its place, with a line between the ends of its interval if it has one."""
    if point.low is not None:
        canvas.axes.plot(*zip(*ends, strict=True), color=INK, lw=1, zorder=2)
    tip = canvas.tip(point.tip)
    canvas.axes.plot(*place, ls="", ms=7, mec=INK, mew=0.8, gid=tip, zorder=3, **look_of)


def _limits(drawing: Points) -> tuple[float, float]:
    shown = (*drawing.points, *drawing.floors)
    ends = [end for p in shown for end in (p.y, p.low, p.high) if end is not None]
    low, high = min(0.0, *ends), max(1.0, *ends)
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def _stacks(canvas: Canvas, drawing: Stacks) -> None:
    from matplotlib.patches import Patch

    axes, longest = canvas.axes, 0.0
    for number, bar in enumerate(drawing.bars):
        left, label = 0.0, short(bar.label, 44)
        for part, (length, tip) in enumerate(zip(bar.parts, bar.tips, strict=True)):
            if math.isnan(length) or length <= 0:
                continue
            axes.barh(number, length, height=0.42, left=left, zorder=2, **look.fill(part))
            axes.patches[-1].set_gid(canvas.tip(tip))
            left += length
        shown = map(drawing.show, bar.parts if drawing.is_whole else [left])
        axes.text(0, number - 0.3, f"{label}   {' / '.join(shown)}", va="bottom", fontsize=8)
        longest = max(longest, left)
    look.bands(axes, len(drawing.bars))
    axes.set_xlabel(drawing.x_label)
    ticks = look.few_ticks(longest, base=look.base_of(drawing.show))
    axes.set_xticks(ticks, ["0", *map(drawing.show, ticks[1:])])
    axes.set_xlim(0, max(longest, ticks[-1]) or 1)
    keys = [Patch(label=name, **look.fill(part)) for part, name in enumerate(drawing.names)]
    look.key_below(canvas, keys, drawing.names)


def _ranges(canvas: Canvas, drawing: Ranges) -> None:
    from matplotlib.lines import Line2D

    axes, step = canvas.axes, 0.6 / max(1, len(drawing.names))
    for number, (backend, points) in enumerate(drawing.points):
        axes.text(0, number - 0.3, short(backend, 44), va="bottom", fontsize=8)
        for place, point in enumerate(points):
            if point is None:
                continue
            y = number - 0.18 + place * step
            look_of = {"color": COLOURS[place], "marker": MARKERS[place]}
            _mark(canvas, point, (point.y, y), [(point.low, y), (point.high, y)], **look_of)
    look.bands(axes, len(drawing.points))
    axes.set(xlim=(-0.02, 1.02), xlabel=drawing.x_label)
    axes.grid(axis="x")
    keys = [
        Line2D([], [], ls="", color=COLOURS[at], marker=MARKERS[at], mec=INK, label=name)
        for at, name in enumerate(drawing.names)
    ]
    look.key_below(canvas, keys, drawing.names)


def _lines(canvas: Canvas, drawing: Lines) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axes = canvas.axes
    for line in drawing.lines:
        axes.plot(
            line.xs,
            line.ys,
            color=canvas.colour(line.label),
            ls=canvas.dashes(line.label),
            lw=1.8,
            marker=canvas.marker(line.label),
            markevery=max(1, len(line.xs) // 4),
            ms=6,
            mec=INK,
            mew=0.7,
            label=short(line.label),
            gid=canvas.tip(line.label),
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(xlabel=drawing.x_label, ylabel=drawing.y_label)
    look.ticks(axes, [x for line in drawing.lines for x in line.xs], lambda value: f"{value:,.0f}")
    ys = [y for line in drawing.lines for y in line.ys]
    ticks = list(look.round_values(min(ys), max(ys), base=10))
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: drawing.show_y(value))
    axes.grid(alpha=0.3)
    look.legend(canvas)
