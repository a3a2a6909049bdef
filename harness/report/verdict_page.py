"""The verdict for a terminal or Markdown: what limits it, a line for each way, which to choose."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.report import best
from harness.report import format as printing
from harness.report.best import Figure
from harness.report.choices import ASKED, Advice, Way
from harness.report.format import Mark, Page, Table, paragraph
from harness.report.standing import UNSETTLED, Comparison, Standing
from harness.report.verdict import Verdict

SHORT = {  # a table of 80 columns has no room for more
    Standing.TOO_FEW: "too few",
    Standing.MAY_GAIN: "gains {}?",
    Standing.MAY_LOSE: "loses {}?",
    Standing.EQUAL: "equal",
    Standing.ALONE: printing.UNKNOWN,
}
KINDS = {
    Standing.GAINS: Mark.GOOD,
    Standing.AS_GOOD: Mark.GOOD,
    Standing.LOSES: Mark.BAD,
    Standing.INVALID: Mark.BAD,
}
LINES = 12  # of a verdict in short
FIGURES = 2  # of memory and times
LEGEND = (
    "{open} one of so many comparisons may look like that by chance; 'as good': the interval "
    "excludes a loss of 0.05. Invented: share answered of the questions that the document does not "
    "answer. Memory: held for one context. {times}: time per question if 1 or 10 are asked about a "
    "context."
)
IN_TABLES = LEGEND.format(
    open="Verdict: way against full context. 'too few': too few contexts to say; '?':",
    times="1 q, 10 q",
)
ON_PAGES = LEGEND.format(
    open="'too few to say': too few contexts; 'may lose', 'may gain':",
    times="1 question, 10 questions",
)


def add_verdict(page: Page, verdict: Verdict) -> None:
    """Add a verdict to a page: obstacles first, then the ways, then which to choose."""
    page.add_heading(verdict.suite + (f": {counted(verdict)}" if verdict.ways else ""))
    page.add_notes(verdict.obstacles)
    if verdict.ways:  # and not floors and controls alone
        page.add_table(verdict_table(verdict))


def verdict_table(verdict: Verdict) -> Table:
    """Return a row for each way; the notes say what else is known and which way to choose."""
    _, *others = columns = figures(verdict)
    rows = tuple(
        (
            way.backend,
            _quality(way),
            *(columns[name][way.backend][1] for name in others),
            _short(way.against),
        )
        for way in verdict.ways
    )
    header = ("way", verdict.metric, *others, "verdict")
    notes = (*remarks(verdict), *choose(verdict))
    marks = dict(_marks(verdict))
    return Table("Verdict", header, rows, notes, (best.LEGEND, IN_TABLES), marks=marks)


def figures(verdict: Verdict) -> dict[str, dict[str, Figure]]:
    """Return the columns of figures that are known, each by way; the first is the quality."""
    ways = verdict.ways
    columns = {
        "quality": {w.backend: (-w.quality.mean, f"{w.quality.mean:.2f}") for w in ways},
        "invented": {w.backend: _invented(w) for w in ways if any(w.invented for w in ways)},
        "memory": {w.backend: (w.held_bytes, printing.size(w.held_bytes, FIGURES)) for w in ways},
    }
    for asked in ASKED:
        times = {w.backend: w.question_s[asked] for w in ways}
        columns[_time(asked)] = {w: (s, printing.seconds(s, FIGURES)) for w, s in times.items()}
    return {name: column for name, column in columns.items() if column or name != "invented"}


def _time(asked: int) -> str:
    return f"{asked} q"


def best_ways(verdict: Verdict) -> dict[str, frozenset[str]]:
    """Return the ways with the best figure, as it is printed, of each column that has two.

    No time is the best where other work made times longer.
    """
    failed = {w.backend for w in verdict.ways if w.against.standing is Standing.INVALID}
    columns = figures(verdict)
    unfair = set() if verdict.timed else {_time(asked) for asked in ASKED}
    found = {
        name: best.best_of({way: one for way, one in column.items() if way not in failed})
        for name, column in columns.items()
    }
    return {name: frozenset() if name in unfair else ways for name, ways in found.items()}


def _marks(verdict: Verdict) -> Iterator[tuple[tuple[int, int], Mark]]:
    """Yield what is marked: the best of each column, and each verdict by its kind."""
    firsts = best_ways(verdict)
    for row, way in enumerate(verdict.ways):
        for column, names in enumerate(firsts.values(), start=1):
            if way.backend in names:
                yield (row, column), Mark.BEST
        kind = mark_of(way.against.standing)
        if kind:
            yield (row, len(firsts) + 1), kind


def mark_of(standing: Standing) -> Mark | None:
    """Return how a verdict is marked; None: neither good nor bad nor open."""
    return Mark.OPEN if standing in UNSETTLED else KINDS.get(standing)


def in_short(verdict: Verdict, *, width: int, colour: bool = False) -> str:
    """Return a verdict in at most `LINES` lines: what matters least is left out."""
    if not verdict.ways:  # floors and controls alone
        return "\n".join(paragraph(sentence, width=width) for sentence in verdict.obstacles)
    table = verdict_table(verdict)
    counts = f"{counted(verdict)}, {verdict.setup}"
    drawn = printing.as_text(replace(table, title="", notes=()), width, colour=colour)
    choice = [paragraph(sentence, width=width) for sentence in choose(verdict)]
    first = [paragraph(sentence, width=width) for sentence in verdict.obstacles[:1]]
    others = (*verdict.obstacles[1:], *remarks(verdict))
    text = [paragraph(counts, width=width), *first, drawn, *choice]
    room = LINES - "\n".join(text).count("\n") - 1
    if room < 0:  # who reads it has named the model
        text[0] = paragraph(counted(verdict), width=width)
    between = []
    for sentence in (paragraph(other, width=width) for other in others):
        room -= sentence.count("\n") + 1
        if room >= 0:
            between.append(sentence)
    return "\n".join([*text[: len(text) - len(choice)], *between, *choice])


def counted(verdict: Verdict) -> str:
    """Return `1 question about 1 context`."""
    counts = ((verdict.questions, "question"), (verdict.contexts, "context"))
    return " about ".join(f"{n:,} {noun}{'' if n == 1 else 's'}" for n, noun in counts)


def choose(verdict: Verdict) -> Iterator[str]:
    """Yield which way to choose when quality, memory or time matters most, as one sentence."""
    if verdict.choices:
        baseline = verdict.way(verdict.baseline)
        priced = [(choice, price(choice, baseline, word=_short)) for choice in verdict.choices]
        parts = [
            f"for {choice.goal} {choice.way.backend}" + (f" ({given})" if given else "")
            for choice, given in priced
        ]
        yield f"Choose {'; '.join(parts)}."


def remarks(verdict: Verdict) -> Iterator[str]:
    """Yield what else is known: against full context with the adapter, and what would settle it."""
    yield from _adapted(verdict)
    yield from _unsettled(verdict)


def _quality(way: Way) -> str:
    """Return `0.25 0.13-0.40`: shorter than other tables, for 80 columns."""
    q = way.quality
    shown = f"{q.mean:.2f}"
    return shown if q.low is None or q.high is None else f"{shown} {q.low:.2f}-{q.high:.2f}"


def _invented(way: Way) -> Figure:
    return (way.invented.mean, printing.share(way.invented.mean)) if way.invented else best.UNKNOWN


def _short(comparison: Comparison) -> str:
    d = comparison.difference
    amount = f"{abs(d.mean):.2f}" if d else ""
    return SHORT.get(comparison.standing, str(comparison)).format(amount)


def _adapted(verdict: Verdict) -> Iterator[str]:
    """Yield how the ways with the adapter stand to full context with the adapter on."""
    pairs = [
        (way.backend, one)
        for way in verdict.ways
        if (one := way.against_adapted) and one.standing is not Standing.ALONE
    ]
    if pairs:
        other = pairs[0][1].other
        parts = [f"{name} {one}" for name, one in pairs]
        yield f"Against {other}, which has the same weights: {'; '.join(parts)}."


def _unsettled(verdict: Verdict) -> Iterator[str]:
    """Yield how many contexts would settle what is open, unless an obstacle stands before it."""
    settles = any("would settle it" in obstacle for obstacle in verdict.obstacles)
    if settles or not verdict.choices:
        return
    parts = [
        f"{way.backend} about {way.against.needed:,}"
        for way in verdict.ways
        if way.against.standing in UNSETTLED and way.against.needed
    ]
    if parts:
        yield f"Contexts that would settle it: {'; '.join(parts)}."


def price(choice: Advice, baseline: Way | None, *, word: Callable[[Comparison], str] = str) -> str:
    """Return what is given and taken by a choice; nothing if it is full context."""
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
    return f"{of_full}{word(way.against)}"
