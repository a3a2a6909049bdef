"""The report: rows of any number of runs as tables, for a terminal, Markdown or a README.

A section is a suite under one setup (model, device, dtype). The metric that a suite names first
leads its tables. pandas and scipy are imported when a report is made, and not before.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness import plugins
from harness.api import Suite
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.printing import Table
    from harness.rows import Rows
    from harness.tables import Section

WIDTH = 110  # columns of a terminal
BRIEF = "--brief"
MARKED = re.compile(
    r"^(?P<head><!-- gist-bench report: (?P<words>[^\n]*?) -->\n)"
    r"(?P<body>(?:(?!^<!-- gist-bench report:).)*?)"
    r"(?P<tail>^<!-- end -->)",
    re.MULTILINE | re.DOTALL,
)
LEGEND = "A dash: not known."


def render(
    paths: Sequence[Path], *, markdown: bool = False, brief: bool = False, width: int = WIDTH
) -> str:
    """Return the tables of the runs in `paths`.

    Args:
        paths: run folders, folders of run folders, records.csv files.
        markdown: pipe tables under headings, instead of aligned text.
        brief: only answers and costs, without what explains them.
        width: columns of the terminal; wider tables go on in a further block.

    Raises:
        UserError: a path is missing or holds no records of this tool.
    """
    from harness.printing import Page
    from harness.proof_table import proof_tables
    from harness.rows import read_rows

    rows = read_rows(paths)
    setups = rows.frame["setup"].unique()
    page = Page(markdown=markdown, width=width)
    page.add_notes([*([f"Model: {setups[0]}"] if len(setups) == 1 else []), *rows.notes])
    legend: dict[str, None] = {}
    found = list(sections(rows))
    for table in proof_tables(rows, found):
        page.add_table(table)
        legend |= dict.fromkeys(table.legend)
    for setup, suite, section in found:
        page.add_heading(suite if len(setups) == 1 else f"{suite} ({setup})")
        for table in section_tables(section, brief=brief):
            page.add_table(table)
            legend |= dict.fromkeys(table.legend)
    page.add_heading("Reading the tables")
    page.add_notes([*legend, LEGEND])
    return page.text()


def regenerated(file: Path) -> str:
    """Return a Markdown file's text with the tables between its markers made anew.

    A marked place starts with a line `<!-- gist-bench report: PATH... -->`, the paths relative to
    the file, `--brief` allowed among them, and ends with a line `<!-- end -->`.

    Raises:
        UserError: the file is missing, has no marked place, or names what cannot be reported.
    """
    if not file.is_file():
        raise UserError(f"no such file: {file}. Give a Markdown file.")

    def remade(place: re.Match[str]) -> str:
        words = shlex.split(place["words"])
        paths = [file.parent / word for word in words if word != BRIEF]
        if not paths:
            raise UserError(f"a marker in {file} names no path: {place['head'].strip()}")
        tables = render(paths, markdown=True, brief=BRIEF in words)
        return f"{place['head']}\n{tables}\n{place['tail']}"

    text, places = MARKED.subn(remade, file.read_text(encoding="utf-8"))
    if not places:
        raise UserError(
            f"{file} has no place for tables. Add the lines <!-- gist-bench report: PATH --> "
            "and <!-- end -->."
        )
    return text


def sections(rows: "Rows") -> Iterator[tuple[str, str, "Section"]]:
    """Yield setup, suite and rows of each section, in the order in which they came.

    Arms whose proofs failed are marked by their name, so that every table shows it.
    """
    from harness.tables import INVALID, Section

    arms = [
        f"{arm}{INVALID}" if arm in rows.facts[run].invalid else arm
        for arm, run in zip(rows.frame["backend"], rows.frame["run"], strict=True)
    ]
    budgets = {
        name: budget
        for facts in rows.facts
        for arm, budget in facts.budgets.items()
        for name in (arm, f"{arm}{INVALID}")
    }
    for (setup, suite), frame in rows.frame.assign(backend=arms).groupby(
        ["setup", "suite"], sort=False
    ):
        slices = tuple(name for name in rows.slices if (frame[name] != "").any())
        filled = [name for name in rows.metrics if frame[name].notna().any()]
        metrics = tuple(_headline_first(str(suite), filled))
        present = {arm: budgets[arm] for arm in frame["backend"].unique() if arm in budgets}
        yield str(setup), str(suite), Section(frame, slices, metrics, present)


def section_tables(section: "Section", *, brief: bool) -> Iterator["Table"]:
    """Yield the tables of a section: answers, what explains them unless `brief`, costs."""
    from harness import capacity, contrasts, costs, tables

    if section.metrics:
        yield tables.headline_table(section)
        yield from tables.budget_tables(section)
        if not brief:
            yield from tables.slice_tables(section)
            yield from contrasts.contrast_tables(section)
    measured = section.of_own_contexts
    if not measured.frame.empty:
        yield from costs.cost_tables(measured)
        yield from capacity.capacity_tables(measured)


def _headline_first(suite: str, filled: Sequence[str]) -> list[str]:
    """Return metrics in the order of an installed suite; a CSV has them by the alphabet."""
    name = suite.partition(",")[0]
    # Only installed names: a path in somebody's CSV must not decide what is imported.
    if len(filled) < 2 or name not in plugins.names(plugins.SUITES):
        return list(filled)
    try:
        suite_class = cast(type[Suite], plugins.load(plugins.SUITES, name))
    except UserError:  # a suite that cannot be run here can still be reported
        return list(filled)
    declared = suite_class.metrics
    return [*(m for m in declared if m in filled), *(m for m in filled if m not in declared)]
