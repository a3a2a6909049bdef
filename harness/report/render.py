"""The report: rows of any number of runs as tables, for a terminal, Markdown or a README."""

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from harness.errors import UserError
from harness.report import capacity, contrasts, cost_tables, sweeps, tables
from harness.report.checks_table import check_tables, checks_line
from harness.report.format import Page, Table
from harness.report.sections import Section, sections_of
from harness.report.verdict import verdicts
from harness.report.verdict_page import add_verdict, verdict_table
from harness.run.rows import read_rows

WIDTH = 110  # columns of a terminal
BRIEF = "--brief"
TABLE = "--table"
MARKED = re.compile(
    r"^(?P<head><!-- gist-bench report: (?P<words>[^\n]*?) -->\n)"
    r"(?P<body>(?:(?!^<!-- gist-bench report:).)*?)"
    r"(?P<tail>^<!-- end -->)",
    re.MULTILINE | re.DOTALL,
)
LEGEND = "A dash: not known."


def render(
    paths: Sequence[Path],
    *,
    markdown: bool = False,
    brief: bool = False,
    headline: str = "",
    width: int = WIDTH,
    colour: bool = False,
) -> str:
    """Return the tables of the runs in `paths`.

    Args:
        paths: run folders, folders of run folders, records.csv files.
        markdown: pipe tables under headings, instead of aligned text.
        brief: only the verdict, answers and costs, with the checks in one line.
        headline: the metric to compare backends by, where it is not what the runs declare.
        width: columns of the terminal; wider tables continue in a further block.
        colour: paint what is good, bad and best, for a terminal that has colours.

    Raises:
        UserError: a path is missing or holds no records of this tool.
    """
    rows = read_rows(paths, headline=headline)
    setups = rows.setups
    page = Page(markdown=markdown, width=width, colour=colour)
    page.add_notes([*([f"Model: {setups[0]}"] if len(setups) == 1 else []), *rows.notes])
    sections = sections_of(rows)
    checks = list(check_tables(rows, sections))
    shown = [] if brief else [*checks]
    judged = verdicts(rows, sections)
    if markdown:  # a page is read from its top, a terminal from its last line
        for one in judged:
            add_verdict(page, one)
    if brief and checks:
        page.add_notes([checks_line(checks)])
    for table in shown:
        page.add_table(table)
    for section in sections:
        page.add_heading(section.name)
        for table in section_tables(section, brief=brief):
            page.add_table(table)
            shown.append(table)
    by_model = list(sweeps.model_tables(sections))
    if by_model:
        page.add_heading("Models side by side")
    for table in by_model:
        page.add_table(table)
    page.add_heading("Reading the tables")
    page.add_notes(legend_of([*shown, *map(verdict_table, judged)]))
    if not markdown:
        for one in judged:
            add_verdict(page, one)
    return page.text()


def regenerated(file: Path) -> str:
    """Return a Markdown file's text with the tables between its markers made anew.

    A marked place starts with a line `<!-- gist-bench report: PATH... -->`, the paths relative to
    the file, and ends with a line `<!-- end -->`. Among the paths, `--brief` leaves out what
    explains the tables, and `--table NAME` leaves out all but the tables of that name.

    Raises:
        UserError: the file is missing, has no marked place, or names what cannot be reported.
    """
    if not file.is_file():
        raise UserError(f"no such file: {file}. Give a Markdown file.")

    def remade(place: re.Match[str]) -> str:
        words = shlex.split(place["words"])
        names = [name for option, name in pairwise(words) if option == TABLE]
        paths = [file.parent / word for word in words if word not in (BRIEF, TABLE, *names)]
        if not paths:
            raise UserError(f"a marker in {file} names no path: {place['head'].strip()}")
        page = render(paths, markdown=True, brief=BRIEF in words)
        text = tables_named(names, page) if names else page
        return f"{place['head']}\n{text}\n{place['tail']}"

    text, places = MARKED.subn(remade, file.read_text(encoding="utf-8"))
    if not places:
        raise UserError(
            f"{file} has no place for tables. Add the lines <!-- gist-bench report: PATH --> "
            "and <!-- end -->."
        )
    return text


def tables_named(names: Sequence[str], page: str) -> str:
    """Return the tables of these names from a Markdown page, without titles and notes.

    Raises:
        UserError: there is no such table.
    """
    tables = dict(re.findall(r"^\*\*(.+?)\*\*\n\n((?:\|.*\n)+)", page, re.MULTILINE))
    for name in names:
        if name not in tables:
            raise UserError(f"no table is called {name!r}. There are: {', '.join(tables)}.")
    return "\n".join(tables[name] for name in names)


def section_tables(section: Section, *, brief: bool) -> Iterator[Table]:
    """Yield the tables of a section: answers, what explains them unless `brief`, costs."""
    if section.metrics:
        yield tables.headline_table(section)
        yield from tables.budget_tables(section)
        if not brief:
            yield from sweeps.seed_tables(section)
            yield from tables.slice_tables(section)
            yield from contrasts.contrast_tables(section)
    measured = section.of_own_contexts
    if measured.rows.groups:
        yield from cost_tables.cost_tables(measured)
        yield from capacity.capacity_tables(measured)


def legend_of(shown: Sequence[Table]) -> list[str]:
    """Return how to read the tables, each sentence once."""
    return [*dict.fromkeys(line for table in shown for line in table.legend), LEGEND]
