"""Points and lines with their names beside them: no picture needs a legend of backends."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from harness.report.plots import look
from harness.report.plots.labels import LINE, Box, along, around, dodged, placed, spread
from harness.report.plots.look import GREY, INK, Canvas, short
from harness.report.plots.shapes import Lines, Point, Points

MARK = 7.5  # size of a mark, in points
GAP = 7.0  # from the middle of a mark to its name
FONT = 8.0  # of names
SIDES = {"left": 0.5, "right": 0.2, "bottom": 0.46, "top": 0.26}  # inches around points
NAMES_AT_LINES = 1.35  # inches to the right of lines


def draw_points(canvas: Canvas, drawing: Points) -> None:
    """Draw backends by what they cost and what they score."""
    axes = canvas.axes
    _frame(canvas, right=SIDES["right"])
    look.log_x(axes, [point.x for point in drawing.points], drawing.show_x, drawing.x_label)
    axes.set_ylim(*_limits(drawing))
    axes.set_title(drawing.y_label, loc="left", fontsize=FONT)
    axes.grid(axis="y")
    at = {point.label: point for point in drawing.points}
    paths = []  # of lines, which names should not cover
    for labels in drawing.families.values():
        joined = sorted((at[label] for label in labels), key=lambda point: point.x)
        colour = look.look_of(labels[0]).colour
        path = [(p.x, p.y) for p in joined]
        axes.plot(*zip(*path, strict=True), color=colour, lw=1, zorder=1)
        paths.append(path)
    front = sorted((point for point in drawing.points if point.marked), key=lambda p: p.x)
    if len(front) > 1:
        steps = [(x, y) for a, b in pairwise(front) for x, y in ((a.x, a.y), (b.x, a.y))]
        steps.append((front[-1].x, front[-1].y))
        axes.plot(*zip(*steps, strict=True), color=GREY, lw=0.9, ls=(0, (2, 2)), zorder=0)
        paths.append(steps)
    area = _area(canvas)
    places = dodged([_to_points(canvas, p.x, p.y) for p in drawing.points], MARK, area)
    taken = [box for path in paths for box in along([_to_points(canvas, *at) for at in path])]
    for point in drawing.floors:
        colour, gid = look.look_of(point.label).colour, canvas.tip(point.tip)
        axes.axhline(point.y, color=colour, lw=1.4, ls=(0, (4, 2)), gid=gid, zorder=0)
    for point, place in zip(drawing.points, places, strict=True):
        x, _ = _to_data(canvas, *place)
        mark(canvas, point, (x, point.y), [(x, end) for end in (point.low, point.high)])
        taken.append(around(*place, MARK + 2))
        if point.low is not None and point.high is not None:
            ends = [_to_points(canvas, x, end)[1] for end in (point.low, point.high)]
            taken.append(Box(place[0] - 1, ends[0], place[0] + 1, ends[1]))
    above = 0.7 * FONT  # names of floors stand on their lines
    at_x = drawing.points[0].x
    lines = [(area.right, _to_points(canvas, at_x, p.y)[1] + above) for p in drawing.floors]
    _names(canvas, [*drawing.points, *drawing.floors], [*places, *lines], area, taken)


def draw_lines(canvas: Canvas, drawing: Lines) -> None:
    """Draw times over the number of questions."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axes = canvas.axes
    _frame(canvas, right=NAMES_AT_LINES)
    look.log_x(
        axes,
        [x for line in drawing.lines for x in line.xs],
        lambda value: f"{value:,.0f}",
        drawing.x_label,
    )
    axes.set_yscale("log")
    ys = [y for line in drawing.lines for y in line.ys]
    axes.set_ylim(min(ys) / 1.15, max(ys) * 1.15)
    axes.set_title(f"{drawing.y_label}, logarithmic", loc="left", fontsize=FONT)
    axes.yaxis.set_major_locator(FixedLocator(list(look.round_values(min(ys), max(ys), base=10))))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: drawing.show_y(value))
    axes.grid(alpha=0.3)
    ends = []
    for line in drawing.lines:
        looks = look.look_of(line.label)
        axes.plot(
            line.xs,
            line.ys,
            color=looks.colour,
            lw=1.6,
            marker=looks.marker,
            markevery=max(1, len(line.xs) // 4),
            ms=5,
            mec=INK if looks.is_filled else looks.colour,
            mfc=looks.colour if looks.is_filled else "none",
            mew=0.7,
            gid=canvas.tip(line.label),
        )
        ends.append(_to_points(canvas, line.xs[-1], line.ys[-1]))
    left = _area(canvas).right + 2
    heights = spread([y for _, y in ends], LINE * FONT)
    for line, end, y in zip(drawing.lines, ends, heights, strict=True):
        _name(canvas, line.label, (left + GAP, y), end, ha="left")


def mark(
    canvas: Canvas,
    point: Point,
    place: tuple[float, float],
    ends: Sequence[tuple[float | None, float | None]],
    **drawn: Any,
) -> None:
    """Draw a figure at its place, with a line between the ends of its interval if it has one."""
    looks = look.look_of(point.label)
    style = {"color": looks.colour, "marker": looks.marker, "mec": INK, "mew": 0.8, **drawn}
    if not looks.is_filled:
        style |= {"mfc": "none", "mec": looks.colour, "mew": 1.8}
    if point.low is not None:
        canvas.axes.plot(*zip(*ends, strict=True), color=INK, lw=1, alpha=0.55, zorder=2)
    tip = canvas.tip(point.tip)
    canvas.axes.plot(*place, ls="", ms=MARK, gid=tip, zorder=3, clip_on=False, **style)


def _frame(canvas: Canvas, *, right: float) -> None:
    """Give the axes their place, in inches from the edges of the picture."""
    width, height = canvas.figure.get_size_inches()
    canvas.axes.set_position(
        (
            SIDES["left"] / width,
            SIDES["bottom"] / height,
            1 - (SIDES["left"] + right) / width,
            1 - (SIDES["bottom"] + SIDES["top"] + canvas.top) / height,
        )
    )


def _area(canvas: Canvas) -> Box:
    """Return the axes in points of the picture."""
    box = canvas.axes.get_position()
    width, height = (72 * side for side in canvas.figure.get_size_inches())
    return Box(box.x0 * width, box.y0 * height, box.x1 * width, box.y1 * height)


def _to_points(canvas: Canvas, x: float, y: float) -> tuple[float, float]:
    left, bottom = canvas.axes.transData.transform((x, y)) * 72 / canvas.figure.dpi
    return float(left), float(bottom)


def _to_data(canvas: Canvas, left: float, bottom: float) -> tuple[float, float]:
    scale = canvas.figure.dpi / 72
    x, y = canvas.axes.transData.inverted().transform((left * scale, bottom * scale))
    return float(x), float(y)


def _names(
    canvas: Canvas,
    parts: Sequence[Point],
    anchors: Sequence[tuple[float, float]],
    area: Box,
    taken: Sequence[Box],
) -> None:
    """Write the names of parts beside them, tied by a thin line where there is no room near."""
    texts = [short(part.label) for part in parts]
    boxes = placed(texts, anchors, font=FONT, gap=GAP, area=area, taken=taken)
    for text, box, anchor in zip(texts, boxes, anchors, strict=True):
        middle = (box.bottom + box.top) / 2
        is_left = box.right < anchor[0]
        end = (box.right if is_left else box.left, middle)
        _name(canvas, text, end, anchor, ha="right" if is_left else "left")


def _name(
    canvas: Canvas, text: str, end: tuple[float, float], anchor: tuple[float, float], *, ha: str
) -> None:
    """Write a name that starts or ends at a place in points, tied to what it names if far off."""
    style: dict[str, Any] = {"ha": ha, "va": "center_baseline", "fontsize": FONT}
    canvas.axes.text(*_to_data(canvas, *end), short(text), clip_on=False, zorder=4, **style)
    if abs(end[1] - anchor[1]) > 1.2 * GAP or abs(end[0] - anchor[0]) > 2 * GAP:
        ends = [_to_data(canvas, *anchor), _to_data(canvas, *end)]
        canvas.axes.plot(*zip(*ends, strict=True), color=GREY, lw=0.5, zorder=1, clip_on=False)


def _limits(drawing: Points) -> tuple[float, float]:
    shown = (*drawing.points, *drawing.floors)
    ends = [end for p in shown for end in (p.y, p.low, p.high) if end is not None]
    low, high = min(0.0, *ends), max(1.0, *ends)
    return low - 0.04 * (high - low), high + 0.04 * (high - low)
