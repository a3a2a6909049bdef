"""Pictures of figures that were computed elsewhere, as matplotlib figures, for a file or a page.

The tooltip of a part is tied to it by its gid: `Canvas.tip`.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report.plots import look
from harness.report.plots.look import COLOURS, GREY, INK, MARKERS, WIDTH, Canvas, short
from harness.report.plots.points import draw_lines, draw_points, mark
from harness.report.plots.shapes import Drawing, HeatMap, Lines, Points, Ranges, Stacks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS, LINES = 2.9, 2.7  # heights of a picture in inches
TITLE = 0.32  # height of a title


def draw(drawing: Drawing, title: str = "") -> tuple["Figure", dict[str, str]]:
    """Return a figure of the drawing, and the tip of each of its parts by gid.

    To be called, and the figure saved, within `look.in_style()`. A page has its own title.
    """
    from matplotlib.figure import Figure

    # Names are placed by where marks lie, so their axes have a fixed place.
    is_fixed = isinstance(drawing, Points | Lines)
    figure = Figure(
        figsize=(WIDTH, _height(drawing) + (TITLE if title else 0)),
        layout=None if is_fixed else "constrained",
    )
    if title:
        figure.suptitle(title, fontsize=9.5, wrap=True)
    canvas = Canvas(figure, figure.add_subplot(), top=TITLE if title else 0)
    match drawing:
        case HeatMap():
            _heat_map(canvas, drawing)
        case Points():
            draw_points(canvas, drawing)
        case Stacks():
            _stacks(canvas, drawing)
        case Ranges():
            _ranges(canvas, drawing)
        case Lines():
            draw_lines(canvas, drawing)
    return figure, canvas.tips


def _height(drawing: Drawing) -> float:
    match drawing:
        case HeatMap():
            return 0.9 + 0.44 * len(drawing.rows)
        case Points():
            return POINTS + 0.1 * max(0, len(drawing.points) + len(drawing.floors) - 12)
        case Stacks():
            return 1.2 + 0.46 * len(drawing.bars)
        case Ranges():
            return 1.2 + (0.2 + 0.2 * len(drawing.names)) * len(drawing.points)
        case Lines():
            return LINES + 0.1 * max(0, len(drawing.lines) - 12)


def _heat_map(canvas: Canvas, drawing: HeatMap) -> None:
    import matplotlib
    from matplotlib.patches import Rectangle

    axes = canvas.axes
    colours = matplotlib.colormaps["PuOr" if drawing.diverging else "cividis"]
    for (row, column), cell in drawing.cells.items():
        x, y = drawing.columns.index(column), drawing.rows.index(row)
        colour = colours((cell.value + 1) / 2 if drawing.diverging else cell.value)
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
    axes.set_xlim(0, 1.01 * max(longest, ticks[-1]) or 1)
    keys = [Patch(label=name, **look.fill(part)) for part, name in enumerate(drawing.names)]
    look.key_below(canvas, keys, drawing.names)


def _ranges(canvas: Canvas, drawing: Ranges) -> None:
    from matplotlib.lines import Line2D

    axes, step = canvas.axes, 0.6 / max(1, len(drawing.names))
    for number, (backend, points) in enumerate(drawing.points.items()):
        axes.text(0, number - 0.3, short(backend, 44), va="bottom", fontsize=8)
        for place, point in enumerate(points):
            if point is None:
                continue
            y = number - 0.18 + place * step
            own = {"color": COLOURS[place], "marker": MARKERS[place], "mfc": COLOURS[place]}
            mark(canvas, point, (point.y, y), [(point.low, y), (point.high, y)], **own)
    look.bands(axes, len(drawing.points))
    axes.set(xlim=(-0.02, 1.02), xlabel=drawing.x_label)
    axes.grid(axis="x")
    keys = [
        Line2D([], [], ls="", color=COLOURS[at], marker=MARKERS[at], mec=INK, label=name)
        for at, name in enumerate(drawing.names)
    ]
    look.key_below(canvas, keys, drawing.names)
