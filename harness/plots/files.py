"""Pictures of a report as files: PNG and SVG, one of each per chart."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.plots.draw import draw
from harness.plots.look import in_style
from harness.plots.shapes import Chart
from harness.plots.topics import TOPICS
from harness.report import sections
from harness.rows import Rows
from harness.tables import Section

DOTS_PER_INCH = 160
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.=]+")


def save_plots(rows: Rows, folder: Path) -> list[Path]:
    """Write every chart of the rows into `folder`, and return the files."""
    found = list(sections(rows))
    arms = arms_of(section for _, _, section in found)
    several = rows.frame["setup"].nunique() > 1
    files: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)
    for setup, suite, section in found:
        before = f"{suite}-{setup}" if several else suite
        for topic in TOPICS:
            for chart in topic.charts(section):
                name = file_name(f"{before}-{chart.name}", {file.stem for file in files})
                files += _save(chart, arms, folder / name)
    return files


def arms_of(found: Iterable[Section]) -> list[str]:
    """Return all arms of a report, each once: its place gives an arm its colour."""
    return list(dict.fromkeys(arm for section in found for arm in section.arms))


def _save(chart: Chart, arms: Sequence[str], path: Path) -> list[Path]:
    with in_style():
        figure, _ = draw(chart.drawing, arms)
        figure.suptitle(chart.title, fontsize=10, wrap=True)
        files = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "svg")]
        figure.savefig(files[0], dpi=DOTS_PER_INCH)
        figure.savefig(files[1], metadata={"Date": None})
    return files


def file_name(text: str, taken: set[str]) -> str:
    """Return a name that is good on every disk and not among those taken."""
    name = _NOT_IN_NAMES.sub("-", text).strip("-.")[:116] or "plot"
    number, free = 2, name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
