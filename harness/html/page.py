"""The report as one HTML page that needs nothing else: no network, no fonts, no libraries.

It opens with the answer in words, then shows it in pictures, each with its table, and ends with
the answers themselves and how they were made. Figures come from the functions that make the
tables. Everything that documents, models and users wrote is escaped by the template, and the page
forbids itself (Content-Security-Policy) to load anything or to run a script that is not its own.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import count

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from harness.html.runs import read_run
from harness.html.samples import samples, script_text
from harness.html.svg import picture
from harness.plots.files import arms_of
from harness.plots.shapes import Chart
from harness.plots.topics import TOPICS
from harness.printing import Table
from harness.proof_table import proof_tables
from harness.report import LEGEND, section_tables, sections
from harness.rows import Rows
from harness.words import Found, opening


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart on the page."""

    suite: str
    chart: Chart
    svg: Markup


@dataclass(frozen=True, slots=True)
class Chapter:
    """A topic with what there is to show of it."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    asides: tuple[Figure, ...]  # of floors and controls: folded
    missing: str


def make_page(rows: Rows) -> str:
    """Return the report on `rows` as an HTML page."""
    found = list(sections(rows))
    arms = arms_of(section for _, _, section in found)
    names = _names(found)
    setups = list(dict.fromkeys(setup for setup, _, _ in found))
    tables = {
        name: list(section_tables(section, brief=False))
        for name, (_, _, section) in zip(names, found, strict=True)
    }
    proofs = list(proof_tables(rows, found))
    script = _text("page.js")
    shown = samples(rows, found, arms)
    return _template().render(
        setups=setups,
        notes=rows.notes,
        opening=opening(rows, found),
        chapters=list(_chapters(found, names, arms)),
        proofs=proofs,
        tables=tables,
        legend=list(_legend([*proofs, *(table for some in tables.values() for table in some)])),
        samples=shown,
        data=Markup(script_text(shown)),  # escaped there, for a script
        runs=[read_run(folder) for folder in rows.folders],
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
    return (files("harness.html") / name).read_text(encoding="utf-8")


def _names(found: Found) -> list[str]:
    several = len({setup for setup, _, _ in found}) > 1
    return [f"{suite} ({setup})" if several else suite for setup, suite, _ in found]


def _chapters(found: Found, names: Sequence[str], arms: Sequence[str]) -> Iterator[Chapter]:
    number = count()
    for topic in TOPICS:
        figures = [
            Figure(name, chart, Markup(picture(chart, next(number), arms)))  # escaped as XML
            for name, (_, _, section) in zip(names, found, strict=True)
            for chart in topic.charts(section)
        ]
        yield Chapter(
            topic.name,
            topic.title,
            tuple(figure for figure in figures if not figure.chart.aside),
            tuple(figure for figure in figures if figure.chart.aside),
            topic.missing,
        )


def _legend(tables: Sequence[Table]) -> Iterator[str]:
    yield from dict.fromkeys(line for table in tables for line in table.legend)
    yield LEGEND
