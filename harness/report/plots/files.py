"""Pictures of a report as files: PNG and SVG, one of each per chart."""

import re
from io import BytesIO
from itertools import product
from pathlib import Path

from harness.files import write_whole
from harness.report.plots.draw import draw
from harness.report.plots.look import in_style
from harness.report.plots.topics import TOPICS
from harness.report.sections import sections_of
from harness.run.rows import Rows

DOTS_PER_INCH = 160
UNDATED = {"Date": None}  # the same rows give the same bytes
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.=]+")
LONGEST = 116  # characters of a file's name, a number and its ending left out


def save_plots(rows: Rows, folder: Path) -> list[Path]:
    """Write every chart of the rows into `folder`, and return the files."""
    files: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)
    for section, topic in product(sections_of(rows), TOPICS):
        for chart in topic.charts(section):
            name = file_name(section.name, chart.name, {file.stem for file in files})
            png, svg = folder / f"{name}.png", folder / f"{name}.svg"
            with in_style():
                figure, _ = draw(chart.drawing, chart.title)
                for file, options in ((png, {"dpi": DOTS_PER_INCH}), (svg, {"metadata": UNDATED})):
                    drawn = BytesIO()
                    figure.savefig(drawn, format=file.suffix[1:], **options)
                    write_whole(file, drawn.getvalue())
            files += [png, svg]
    return files


def file_name(section: str, chart: str, taken: set[str]) -> str:
    """Return a name that is good on every disk and not among those taken.

    A long name of a section is cut; a chart's is not, so that `*-budget.svg` finds it.
    """
    end = _NOT_IN_NAMES.sub("-", chart).strip("-.")[: LONGEST // 2] or "plot"
    start = _NOT_IN_NAMES.sub("-", section).strip("-.")[: LONGEST - len(end) - 1].strip("-.")
    name = f"{start}-{end}" if start else end
    number, free = 2, name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
