"""The first screen of the page: what each way is worth, the trade-off, and which way to choose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.report import format as printing
from harness.report.choices import ASKED, Way
from harness.report.html.svg import picture
from harness.report.plots.answers import trade_off
from harness.report.plots.look import look_of
from harness.report.sections import Section
from harness.report.verdict import Verdict
from harness.report.verdict_page import (
    FIGURES,
    ON_PAGES,
    best_ways,
    counted,
    mark_of,
    price,
    remarks,
)

GOALS = {"quality": "Quality matters most", "memory": "Memory matters most"}
TIME = "Time matters most"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of a way."""

    text: str
    kind: str = ""  # `best` of its column, or of a verdict: `good`, `bad`, `open`
    bar: tuple[float, float, float] | None = None  # low, mean and high in %


@dataclass(frozen=True, slots=True)
class WayLine:
    """A way with its figures."""

    backend: str
    glyph: str
    colour: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """Which way to choose, and what that gives and takes."""

    goal: str
    backend: str
    price: str


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The verdict on a suite as it is shown."""

    suite: str
    data: str  # its options
    setup: str
    counts: str
    obstacles: tuple[str, ...]
    choices: tuple[Advice, ...]
    header: tuple[str, ...]
    lines: tuple[WayLine, ...]
    remarks: tuple[str, ...]
    legend: str
    chart: Markup | None
    chart_title: str


def scorecard(verdict: Verdict, section: Section, number: int) -> Scorecard:
    """Return how a verdict is shown.

    Args:
        verdict: of the section.
        section: what was judged.
        number: of the chart among the pictures of the page.
    """
    suite, _, options = verdict.suite.partition(" (")[0].partition(",")
    knows_invented = any(way.invented for way in verdict.ways)
    names = [way.backend for way in verdict.ways]
    chart = trade_off(section, names) if names else None
    return Scorecard(
        suite=suite,
        data=options.replace(",", ", "),
        setup=verdict.setup,
        counts=counted(verdict) if names else "",
        obstacles=verdict.obstacles,
        choices=tuple(_choices(verdict)),
        header=(
            verdict.metric,
            *(["invented"] if knows_invented else []),
            "memory",
            *(f"{asked} question{'s' * (asked > 1)}" for asked in ASKED),
            "against full context",
        ),
        lines=tuple(_lines(verdict, knows_invented=knows_invented)),
        remarks=tuple(remarks(verdict)),
        legend=ON_PAGES,
        chart=Markup(picture(chart, number)) if chart else None,  # escaped there
        chart_title=chart.title if chart else "",
    )


def _lines(verdict: Verdict, *, knows_invented: bool) -> Iterator[WayLine]:
    best = best_ways(verdict)
    for way in verdict.ways:
        looks, quality = look_of(way.backend), way.quality
        ends = [quality.mean if end is None else end for end in (quality.low, quality.high)]
        bar = tuple(100 * min(1.0, max(0.0, end)) for end in (ends[0], quality.mean, ends[1]))
        figures = {
            "quality": printing.interval(quality),
            "invented": printing.interval(way.invented),
            "memory": printing.size(way.held_bytes, FIGURES),
            **{f"{a} q": printing.seconds(way.question_s[a], FIGURES) for a in ASKED},
        }
        cells = [
            Cell(
                text,
                "best" if way.backend in best.get(name, ()) else "",
                (bar[0], bar[1], bar[2]) if name == "quality" else None,
            )
            for name, text in figures.items()
            if name != "invented" or knows_invented
        ]
        yield WayLine(way.backend, looks.glyph, looks.colour, (*cells, _word(way)))


def _word(way: Way) -> Cell:
    mark = mark_of(way.against.standing)
    return Cell(str(way.against), mark.name.lower() if mark else "")


def _choices(verdict: Verdict) -> Iterator[Advice]:
    baseline = verdict.way(verdict.baseline)
    for choice in verdict.choices:
        goal, _, asked = choice.goal.partition(", ")
        name = GOALS.get(goal, f"{TIME}, {asked}" if asked else TIME)
        yield Advice(name, choice.way.backend, price(choice, baseline))


def scorecards(
    verdicts: Sequence[Verdict], sections: Sequence[Section], first: int
) -> list[Scorecard]:
    """Return how the verdicts are shown, each with its section; pictures count from `first`."""
    return [
        scorecard(verdict, section, first + number)
        for number, (verdict, section) in enumerate(zip(verdicts, sections, strict=True))
    ]
