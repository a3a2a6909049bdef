"""The report as one HTML page that needs nothing else: no network, no fonts, no libraries.

Its first screen is the verdict: what each way is worth, and which to choose. What explains it is
folded below: pictures, each with its table, the answers themselves, how they were made. Figures
come from the functions that make the tables. The template escapes everything that documents, models
and users wrote, and the page's own policy (Content-Security-Policy) allows it to load nothing and
to run no other script.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import count

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from harness.report.checks_table import check_tables, checks_line
from harness.report.html.runs import describe
from harness.report.html.samples import samples, script_text
from harness.report.html.scorecard import scorecards
from harness.report.html.svg import picture
from harness.report.plots.shapes import Chart
from harness.report.plots.topics import TOPICS, Topic
from harness.report.render import legend_of, section_tables
from harness.report.sections import Section, scored, sections_of
from harness.report.sweeps import model_tables
from harness.report.verdict import verdicts
from harness.report.verdict_page import ON_PAGES
from harness.run.rows import Rows


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart on the page."""

    suite: str
    chart: Chart
    svg: Markup


@dataclass(frozen=True, slots=True)
class Chapter:
    """A topic and its figures."""

    topic: Topic
    figures: tuple[Figure, ...]
    asides: tuple[Figure, ...]  # of floors and controls: folded


def make_page(rows: Rows) -> str:
    """Return the report on `rows`, read with answers, as an HTML page."""
    sections = sections_of(rows)
    tables = {section.name: list(section_tables(section, brief=False)) for section in sections}
    if by_model := list(model_tables(sections)):
        tables = {"Models side by side": by_model, **tables}
    checks = list(check_tables(rows, sections))
    shown = samples(sections, rows.folders)
    chapters = list(_chapters(sections))
    pictures = sum(len(chapter.figures) + len(chapter.asides) for chapter in chapters)
    judged = verdicts(rows, sections)
    script = _text("page.js")
    return _template().render(
        setups=rows.setups,
        notes=rows.notes,
        checks_line=checks_line(checks) if checks else "",
        cards=list(scorecards(judged, scored(sections), first=pictures)),
        card_legend=ON_PAGES,
        chapters=chapters,
        checks=checks,
        tables=tables,
        legend=legend_of([*checks, *(table for some in tables.values() for table in some)]),
        samples=shown,
        data=Markup(script_text(shown)),  # escaped there, for a script
        runs=list(map(describe, rows.metadata)),
        style=Markup(_text("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text("page.html.j2"))


def _text(name: str) -> str:
    return (files("harness.report.html") / name).read_text(encoding="utf-8")


def _chapters(sections: Sequence[Section]) -> Iterator[Chapter]:
    number = count()
    for topic in TOPICS:
        figures = [
            Figure(section.name, chart, Markup(picture(chart, next(number))))  # escaped
            for section in sections
            for chart in topic.charts(section)
        ]
        yield Chapter(
            topic,
            tuple(figure for figure in figures if not figure.chart.aside),
            tuple(figure for figure in figures if figure.chart.aside),
        )
