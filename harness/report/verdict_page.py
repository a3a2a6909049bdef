"""The verdict for a terminal or Markdown: what limits it, a line for each way, which to choose."""

import math
import textwrap
from collections.abc import Iterator
from dataclasses import replace

from harness.report import format as printing
from harness.report.format import Page, Table
from harness.report.standing import UNSETTLED, Comparison, Standing
from harness.report.verdict import ASKED, Choice, Verdict, Way

SHORT = {  # a table of 80 columns has no room for more
    Standing.TOO_FEW: "too few",
    Standing.MAY_GAIN: "gains {}?",
    Standing.MAY_LOSE: "loses {}?",
    Standing.EQUAL: "equal",
    Standing.ALONE: printing.UNKNOWN,
}
LINES = 12  # of a verdict in short
FIGURES = 2  # of memory and times
LEGEND = (
    "Verdict: way against full context. 'too few': too few contexts to say; '?': one of so many "
    "comparisons may look like that by chance; 'as good': the interval excludes a loss of 0.05. "
    "Invented: share answered of the questions that the document does not answer. Memory: held for "
    "one context. 1 q, 10 q: time per question if 1 or 10 are asked about a context."
)


def add_verdict(page: Page, verdict: Verdict) -> None:
    """Add a verdict to a page: obstacles first, then the ways, then which to choose."""
    counts = f"{verdict.questions:,} questions, {verdict.contexts:,} contexts"
    page.add_heading(f"{verdict.suite}: {counts}")
    page.add_notes(verdict.obstacles)
    page.add_table(verdict_table(verdict))


def verdict_table(verdict: Verdict) -> Table:
    """Return a row for each way; the notes say what else is known and which way to choose."""
    knows_invented = any(way.invented for way in verdict.ways)
    rows = tuple(
        (
            way.backend,
            _quality(way),
            *([_share(way)] if knows_invented else []),
            printing.size(way.held_bytes, FIGURES),
            *(printing.seconds(way.question_s[asked], FIGURES) for asked in ASKED),
            _short(way.against),
        )
        for way in verdict.ways
    )
    header = (
        "way",
        verdict.metric,
        *(["invented"] if knows_invented else []),
        "memory",
        *(f"{asked} q" for asked in ASKED),
        "verdict",
    )
    notes = (*_adapted(verdict), *_unsettled(verdict), *choose(verdict))
    return Table("Verdict", header, rows, notes, (LEGEND,))


def in_short(verdict: Verdict, *, width: int, lines: int = LINES) -> str:
    """Return a verdict in at most so many lines: what matters least is left out."""
    table = verdict_table(verdict)
    counts = f"{verdict.questions:,} questions about {verdict.contexts:,} contexts, {verdict.setup}"
    drawn = printing.as_text(replace(table, title="", notes=()), width)
    choice = [_filled(sentence, width) for sentence in choose(verdict)]
    first = [_filled(sentence, width) for sentence in verdict.obstacles[:1]]
    others = (*verdict.obstacles[1:], *_adapted(verdict), *_unsettled(verdict))
    text = [_filled(counts, width), *first, drawn, *choice]
    room = lines - "\n".join(text).count("\n") - 1
    between = []
    for sentence in (_filled(other, width) for other in others):
        room -= sentence.count("\n") + 1
        if room >= 0:
            between.append(sentence)
    return "\n".join([*text[: len(text) - len(choice)], *between, *choice])


def choose(verdict: Verdict) -> Iterator[str]:
    """Yield which way to choose when quality, memory or time matters most, as one sentence."""
    if verdict.choices:
        baseline = verdict.way(verdict.baseline)
        parts = [
            f"for {choice.goal} {choice.way.backend}{_price(choice, baseline)}"
            for choice in verdict.choices
        ]
        yield f"Choose {'; '.join(parts)}."


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _quality(way: Way) -> str:
    """Return `0.25 0.13-0.40`: shorter than other tables, for 80 columns."""
    q = way.quality
    shown = f"{q.mean:.2f}"
    return shown if q.low is None or q.high is None else f"{shown} {q.low:.2f}-{q.high:.2f}"


def _share(way: Way) -> str:
    return f"{way.invented.mean:.2f}" if way.invented else printing.UNKNOWN


def _short(comparison: Comparison) -> str:
    d = comparison.difference
    amount = f"{abs(d.mean):.2f}" if d else ""
    return SHORT.get(comparison.standing, str(comparison)).format(amount)


def _adapted(verdict: Verdict) -> Iterator[str]:
    """Yield how the ways with the adapter stand to full context with the adapter on."""
    pairs = [(way.backend, way.against_adapted) for way in verdict.ways if way.against_adapted]
    if pairs:
        other = pairs[0][1].other
        parts = [f"{name} {one}" for name, one in pairs]
        yield f"Against {other}, which has the same weights: {', '.join(parts)}."


def _unsettled(verdict: Verdict) -> Iterator[str]:
    """Yield how many contexts would settle what is open, unless an obstacle says so."""
    if any("would settle it" in obstacle for obstacle in verdict.obstacles):
        return
    parts = [
        f"{way.backend} about {way.against.needed:,}"
        for way in verdict.ways
        if way.against.standing in UNSETTLED and way.against.needed
    ]
    if parts:
        yield f"Contexts that would settle it: {', '.join(parts)}."


def _price(choice: Choice, baseline: Way | None) -> str:
    """Return what is given and taken by a choice that is not full context."""
    way = choice.way
    if baseline is None or way.backend == baseline.backend:
        return ""
    asked = ASKED[-1] if str(ASKED[-1]) in choice.goal else ASKED[0]
    ratios = {
        "memory": way.held_bytes / baseline.held_bytes if baseline.held_bytes else math.nan,
        "time": way.question_s[asked] / baseline.question_s[asked],
    }
    ratio = ratios.get(choice.goal.partition(",")[0], math.nan)
    of_full = "" if math.isnan(ratio) else f"{ratio:.2f} of {baseline.backend}; "
    return f" ({of_full}{way.against})"
