"""The summary of a report in sentences, made from the figures of its tables.

A difference is stated only where it has an interval, and called a loss or a gain only where the
interval excludes 0 and Holm's p is below 5 %. Otherwise the backends cannot be told apart, and the
text says so. Checks and controls that are missing or failed are listed as caveats.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.report import breakeven, cost_tables
from harness.report import format as printing
from harness.report.breakeven import BreakEven
from harness.report.checks_table import PASS
from harness.report.contrasts import Pair, pairs
from harness.report.format import Table
from harness.report.sections import (
    CEILING,
    FLOOR,
    INVALID,
    Section,
    is_usable,
    name_of,
    rank_of,
    scored,
)
from harness.report.standing import ADAPTED
from harness.report.stats import LEVEL, Estimate
from harness.report.tables import headline_table
from harness.report.verdict import Verdict

NOTHING = "No backends can be told apart: every difference could be due to chance."
NO_SCORES = "No suite with scores: this report shows costs."


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a backend in a suite."""

    lead: str
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.lead} {self.rest}".strip()


@dataclass(frozen=True, slots=True)
class Summary:
    """What a report begins with."""

    answers: tuple[Answer, ...]
    caveats: tuple[str, ...]  # what is missing or failed


def summarize(
    sections: Sequence[Section], checks: Sequence[Table], judged: Sequence[Verdict] = ()
) -> Summary:
    """Return what the figures say, and what limits it; `judged` stand beside and must agree."""
    ways = [way for verdict in judged for way in verdict.ways]
    beside = [one.difference for w in ways for one in (w.against, w.against_adapted) if one]
    answers: list[Answer] = []
    compared: list[Pair] = []
    notes: dict[str, list[str]] = {}
    for section in scored(sections):
        of_section = pairs(section)
        compared += of_section
        answers += _answers(section, of_section, _name(section, scored(sections)))
        for note in headline_table(section).notes:
            notes.setdefault(note, []).append(section.name)
    shown = [*beside, *(pair.contrast.difference for pair in compared)]
    if not scored(sections):
        answers = [Answer(NO_SCORES)]
    elif compared and not any(one and one.excludes_zero for one in shown):
        answers = [Answer(NOTHING), *answers]
    of_suites = [f"{', '.join(suites)}: {note}" for note, suites in notes.items()]
    return Summary(tuple(answers), (*_open_checks(checks), *of_suites))


def is_told_apart(pair: Pair) -> bool:
    """Say whether a difference has an interval without 0, and holds among all comparisons."""
    return pair.contrast.difference.excludes_zero and pair.holm < 1 - LEVEL


def _name(section: Section, others: Sequence[Section]) -> str:
    """Return a section's name, without its options if no other has the name."""
    name = section.name.partition(",")[0]
    alike = [one for one in others if one.name.partition(",")[0] == name]
    return name if len(alike) == 1 else section.name


def _answers(section: Section, compared: Sequence[Pair], called: str) -> Iterator[Answer]:
    """Yield a paragraph for each backend that gives the model less than the whole context."""
    of_subject: dict[str, list[Pair]] = {}
    for pair in compared:
        for one in (pair, _reversed(pair)):
            # Two backends of one rank are described once, as they were compared.
            if rank_of(one.backend) == 1 and (one is pair or rank_of(one.other) != 1):
                of_subject.setdefault(one.backend, []).append(one)
    points = breakeven.break_evens(section)
    for backend, of_backend in of_subject.items():
        if backend.endswith(INVALID):
            yield Answer(f"{called}: no statement about {backend}, as a check failed.")
            continue
        rivals = [one for one in of_backend if _is_rival(one.other, backend)]
        rivals.sort(key=lambda one: rank_of(one.other))  # full context first
        if not rivals:
            continue
        floor = next((one for one in of_backend if name_of(one.other) == FLOOR), None)
        first, *others = rivals
        names = {rival.other for rival in rivals}
        sentences = [
            *_other_rivals(others, len(compared)),
            *([_above_floor(floor)] if floor else []),
            *_memory(section, backend),
            *_time([one for one in points if one.backend == backend and one.other in names]),
        ]
        verdict = _verdict(first, section.metrics[0], len(compared))
        lead = f"{called}{_sizes(section, backend)}. Compared with {first.other}, it {verdict}."
        yield Answer(lead, " ".join(f"{sentence}." for sentence in sentences))


def _is_rival(other: str, backend: str) -> bool:
    """Say whether a backend is an alternative to another: no control, floor or other budget."""
    return is_usable(other) and ADAPTED not in other and name_of(other) != name_of(backend)


def _reversed(pair: Pair) -> Pair:
    """Return the same comparison seen from the other backend."""
    d = pair.contrast.difference
    low, high = (None if bound is None else -bound for bound in (d.high, d.low))
    difference = Estimate(-d.mean, low, high, d.n, d.contexts)
    contrast = replace(pair.contrast, difference=difference)
    return replace(pair, backend=pair.other, other=pair.backend, contrast=contrast)


def _sizes(section: Section, backend: str) -> str:
    """Return `, contexts of 371 tokens: gist keeps 24 KV entries for 371 tokens (medians)`."""
    rows = section.counted.of(backend)[["context_tokens", "context_entries"]]
    tokens, entries = rows["context_tokens"].median(), rows["context_entries"].median()
    if not (tokens > 0 and entries >= 0):
        return f": {backend} reads the context"
    low, high = (printing.count(rows["context_tokens"].agg(end)) for end in ("min", "max"))
    return (
        f", contexts of {low if low == high else f'{low} to {high}'} tokens: {backend} keeps "
        f"{printing.count(entries)} KV entries for {printing.count(tokens)} tokens (medians)"
    )


def _verdict(pair: Pair, metric: str, compared: int) -> str:
    """Return `loses 0.11 f1 (0.03 to 0.20)`, or that the difference is not certain."""
    d = pair.contrast.difference
    if d.low is None or d.high is None:
        return f"cannot be compared: {printing.count(d.contexts)} contexts are too few"
    low, high = sorted((abs(d.low), abs(d.high)))
    size = f"{abs(d.mean):.2f} {metric} ({low:.2f} to {high:.2f})"
    verb = "gain" if d.mean > 0 else "lose"
    if is_told_apart(pair):
        return f"{verb}s {size}"
    if d.excludes_zero:
        return (
            f"seems to {verb} {size}, but among {compared} comparisons one may look like that by "
            f"chance (p = {pair.holm:.2f})"
        )
    seen = pair.contrast.detectable
    besides = "" if seen is None else f"; a difference of {seen:.2f} would have been detected"
    interval = f"{d.mean:+.2f}, {d.low:+.2f} to {d.high:+.2f}"
    return f"cannot be told apart in {metric} ({interval}{besides})"


def _other_rivals(rivals: Sequence[Pair], compared: int) -> Iterator[str]:
    """Yield a sentence for each verdict, with all backends to which it applies."""
    of_verdict: dict[str, list[str]] = {}
    for pair in rivals:
        d = pair.contrast.difference
        if d.low is None or d.high is None:
            verdict, figures = "There are too few contexts to compare it with", ""
        else:
            figures = f" ({d.mean:+.2f}, {d.low:+.2f} to {d.high:+.2f})"
            verb, to = ("gain", "over") if d.mean > 0 else ("lose", "to")
            if is_told_apart(pair):
                verdict = f"It {verb}s {to}"
            elif d.excludes_zero:
                verdict = (
                    f"It seems to {verb}, perhaps by chance among {compared} comparisons, {to}"
                )
            else:
                verdict = "It cannot be told apart from"
        of_verdict.setdefault(verdict, []).append(f"{pair.other}{figures}")
    for verdict, others in of_verdict.items():
        yield f"{verdict} {'; '.join(others)}"


def _above_floor(pair: Pair) -> str:
    """Say whether a backend answers better than the model does without the context."""
    d = pair.contrast.difference
    if d.excludes_zero and d.mean > 0 and d.low is not None and d.high is not None:
        size = f"{d.mean:.2f} ({d.low:.2f} to {d.high:.2f}) above {pair.other}"
        if is_told_apart(pair):
            return f"It is {size}"
        return f"It seems to be {size}, but among so many comparisons that may be chance"
    why = "its answers may not come from the context at all"
    return f"It is not shown to be better than {pair.other}: {why}"


def _memory(section: Section, backend: str) -> Iterator[str]:
    """Yield how many bytes are held, and how many full context holds: exact, medians."""
    mine = cost_tables.of_backend(section, backend).held_bytes
    for other in section.backends_named(CEILING)[:1]:
        whole = cost_tables.of_backend(section, other).held_bytes
        if mine > 0 and whole > 0:
            yield f"It holds {printing.size(mine)} per context, {other} {printing.size(whole)}"


def _time(points: Sequence[BreakEven]) -> Iterator[str]:
    """Yield the break-even questions of a backend, as far as they are known."""
    of_verdict: dict[str, list[str]] = {}
    for point in points:
        verdict, figures = _break_even(point)
        of_verdict.setdefault(verdict, []).append(f"{point.other}{figures}")
    if of_verdict:
        verdicts = (f"{verdict} {', '.join(others)}" for verdict, others in of_verdict.items())
        yield f"In time, {'; '.join(verdicts)}"


def _break_even(point: BreakEven) -> tuple[str, str]:
    """Return the verdict on a break-even, shared by other backends, and figures of its own."""
    if point.high is None:
        return "there are too few contexts for a break-even against", ""
    if point.is_ruled_out:
        return "it has no break-even against", ""
    if point.is_known and point.high == 1:
        return "it is faster from the first question on than", ""
    if point.is_known:
        number = printing.count(point.questions)
        noun = "question" if number == "1" else "questions"
        return f"it breaks even at {number} {noun} ({point.interval}) against", ""
    return "the break-even is uncertain against", f" ({point.interval})"


def _open_checks(checks: Sequence[Table]) -> Iterator[str]:
    """Yield the checks that failed, were not run, or did not show what they should."""
    open_checks: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for backend, check, measured, _, verdict in (row for table in checks for row in table.rows):
        if verdict != PASS:
            name, _, suite = check.partition(": ")
            open_checks.setdefault((name, measured, verdict), []).append((backend, suite))
    for (name, measured, verdict), found in open_checks.items():
        columns = (dict.fromkeys(filter(None, words)) for words in zip(*found, strict=True))
        who, suites = map(", ".join, columns)
        where = f" in {suites}" if suites else ""
        yield f"Open validity check, {name}: {measured} ({verdict}) for {who}{where}."
