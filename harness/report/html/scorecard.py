"""The first screen of the page: what each way is worth, the trade-off, and which way to choose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.report import format as printing
from harness.report.choices import ASKED
from harness.report.html.svg import picture
from harness.report.plots.answers import trade_off
from harness.report.plots.look import Look, look_of
from harness.report.plots.shapes import Chart
from harness.report.sections import Section
from harness.report.verdict import Verdict
from harness.report.verdict_page import best_ways, counted, figures, mark_of, price, remarks

GOALS = {"quality": "Quality matters most", "memory": "Memory matters most"}
TIME = "Time matters most"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of a way."""

    text: str
    kind: str = ""  # `best` of its column, or of a verdict: `good`, `bad`, `open`
    bar: Sequence[float] = ()  # low, mean and high in %


@dataclass(frozen=True, slots=True)
class Scorecard:
    """A verdict as it is shown."""

    verdict: Verdict
    suite: str
    data: str  # its options
    counts: str
    choices: tuple[tuple[str, str, str], ...]  # goal, backend, what it gives and takes
    header: tuple[str, ...]
    lines: tuple[tuple[str, Look, tuple[Cell, ...]], ...]  # of each way
    remarks: tuple[str, ...]
    chart: Chart | None
    svg: Markup


def scorecards(
    verdicts: Sequence[Verdict], sections: Sequence[Section], first: int
) -> Iterator[Scorecard]:
    """Yield how the verdicts are shown, each with its section; pictures count from `first`."""
    for number, (verdict, section) in enumerate(zip(verdicts, sections, strict=True), start=first):
        suite, _, options = verdict.suite.partition(" (")[0].partition(",")
        names = [way.backend for way in verdict.ways]
        chart = trade_off(section, names) if names else None
        invented = ["invented"] if "invented" in figures(verdict) else []
        times = [f"{asked} question{'s' * (asked > 1)}" for asked in ASKED]
        yield Scorecard(
            verdict,
            suite,
            data=options.replace(",", ", "),
            counts=counted(verdict) if names else "",
            choices=tuple(_choices(verdict)),
            header=(verdict.metric, *invented, "memory", *times, "against full context"),
            lines=tuple(_lines(verdict)),
            remarks=tuple(remarks(verdict)),
            chart=chart,
            svg=Markup(picture(chart, number) if chart else ""),  # escaped there
        )


def _lines(verdict: Verdict) -> Iterator[tuple[str, Look, tuple[Cell, ...]]]:
    columns, best = figures(verdict), best_ways(verdict)
    for way in verdict.ways:
        quality, mark = way.quality, mark_of(way.against.standing)
        ends = (quality.low, quality.mean, quality.high)
        bar = [100 * min(1.0, max(0.0, quality.mean if end is None else end)) for end in ends]
        texts = {name: column[way.backend][1] for name, column in columns.items()}
        texts["quality"] = printing.interval(quality)
        if "invented" in texts:
            texts["invented"] = printing.interval(way.invented)
        cells = [
            Cell(
                text, "best" if way.backend in best[name] else "", bar if name == "quality" else ()
            )
            for name, text in texts.items()
        ]
        cells.append(Cell(str(way.against), mark.name.lower() if mark else ""))
        yield way.backend, look_of(way.backend), tuple(cells)


def _choices(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    baseline = verdict.way(verdict.baseline)
    for choice in verdict.choices:
        goal, _, asked = choice.goal.partition(", ")
        name = GOALS.get(goal, f"{TIME}, {asked}" if asked else TIME)
        yield name, choice.way.backend, price(choice, baseline)
