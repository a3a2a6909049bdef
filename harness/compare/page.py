"""A comparison as a page: verdicts first, then the changed figures and answers of each suite.

Figures that did not change at all are named in one line, so that a page about two equal runs is
short.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from harness.compare.changes import COSTS, Change, definition
from harness.compare.flips import MAX_FLIPPED, FlippedAnswer, FlippedAnswers
from harness.compare.gates import HEADLINE, HOLDS, REGRESSED, UNKNOWN, Gate, Verdict, state_of
from harness.compare.pairing import Pairs
from harness.report import format as printing
from harness.report.format import Page, Table
from harness.report.stats import Estimate

SAME = "="
MAX_LETTERS = 120  # of a text
LEGEND = (
    "change: NEW - BASE over the questions of both runs, for costs in percent of BASE; in "
    "brackets: 95 % intervals from resampling contexts. =: unchanged. -: not known, or left out.",
    "A question without an answer (an error, or no row in NEW) counts as wrong, 0, where the other "
    "run has an answer and more is better. A backend without any answer in NEW fails every gate.",
    "A gate fails if the change is beyond its tolerance, and a paired test says that chance does "
    "not explain it (p < 0.05). Times also depend on what else the machine does: repeat both runs "
    "before you call a slower time a regression.",
)


def add_gates(page: Page, verdicts: Mapping[Gate, Sequence[Verdict]], gone: Sequence[str]) -> None:
    """Add a line per regression, and for a gate that holds the place nearest to failing.

    Args:
        page: to add to.
        verdicts: of each gate.
        gone: backends that no longer answer: whatever the gates, they have regressed.
    """
    lines = tuple(line for gate, found in verdicts.items() for line in _gate_lines(gate, found))
    lines = (*(f"REGRESSED: {backend}." for backend in gone), *lines)
    if lines:
        page.add_table(Table("Gates", (), (), lines))


def add_suites(
    page: Page, changes: Sequence[Change], flipped: Sequence[FlippedAnswers], *, times: bool
) -> None:
    """Add what changed, suite by suite; suites without any change are named."""
    same: list[str] = []
    for suite in dict.fromkeys(change.suite for change in changes):
        own = [change for change in changes if change.suite == suite]
        answers = [one for one in flipped if one.suite == suite and one.changed]
        if not answers and all(change.same for change in own):
            same.append(suite)
            continue
        page.add_heading(suite)
        for table in (
            *_answers_table([change for change in own if change.is_answer]),
            *_flipped_tables(answers),
            *_costs_table([c for c in own if c.metric in COSTS], times=times),
        ):
            page.add_table(table)
    if same:
        page.add_notes([f"Nothing changed in {'; '.join(same)}."])


def result(pairs: Pairs, verdicts: Mapping[Gate, Sequence[Verdict]]) -> str:
    """Return the last line: how much was compared, and the verdicts."""
    compared = f"{pairs.in_common:,} questions compared."
    if not verdicts:
        return f"{compared} No --fail-on, so nothing could fail."
    by_state = {
        word: [gate.text for gate, found in verdicts.items() if state_of(found) == state]
        for word, state in (("REGRESSED", REGRESSED), ("Not judged", UNKNOWN), ("Holds", HOLDS))
    }
    verdicts_of = [f"{word}: {', '.join(gates)}." for word, gates in by_state.items() if gates]
    return " ".join([compared, *verdicts_of])


def _gate_lines(gate: Gate, verdicts: Sequence[Verdict]) -> Iterator[str]:
    state = state_of(verdicts)
    found = [verdict for verdict in verdicts if verdict.state == state]
    if state == HOLDS:
        nearest = min(found, key=lambda verdict: verdict.room)
        places = f"in {len(found)} places, nearest " if len(found) > 1 else ""
        yield f"holds: {gate.text}: {places}{_place(nearest)}"
    elif state == REGRESSED:
        yield from (f"REGRESSED: {gate.text}: {_place(verdict)}" for verdict in found)
    elif not verdicts:
        yield f"not judged: {gate.text}: times are left out between different machines."
    unknown = [verdict for verdict in verdicts if verdict.state == UNKNOWN]
    if unknown:
        first = f"{unknown[0].change.suite}, {unknown[0].change.backend}"
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        yield f"not judged: {gate.text}: too few contexts for an interval in {first}{others}."


def _place(verdict: Verdict) -> str:
    """Return `qa, gist: 0.500 -> 0.400, -0.100 [-0.150, -0.050], 20 contexts`."""
    change, estimate = verdict.change, verdict.estimate
    sides = [_value(change.metric, side) for side in (change.base, change.new)]
    shown = _shown(change.metric, estimate, in_percent=verdict.in_percent)
    unit = "contexts" if change.is_answer else "samples"
    n = f"{estimate.contexts:,} {unit}"
    metric = f" {change.metric}" if verdict.gate.metric == HEADLINE else ""
    return f"{change.suite}, {change.backend}:{metric} {sides[0]} -> {sides[1]}, {shown}, {n}"


def _answers_table(changes: Sequence[Change]) -> Iterator[Table]:
    """Yield the scores that changed, and the names of those that did not."""
    rows = tuple(
        (
            change.backend,
            change.metric,
            _value(change.metric, change.base),
            _value(change.metric, change.new),
            _shown(change.metric, change.estimate),
            _word(change.metric, change.estimate),
            printing.count(change.estimate.n),
            printing.count(change.estimate.contexts),
        )
        for change in changes
        if change.estimate is not None
    )
    # No errors in either run: not worth a line.
    scored = [change for change in changes if change.metric != "errors"]
    same: dict[str, list[str]] = {}
    for change in scored:
        if change.same:
            same.setdefault(change.backend, []).append(change.metric)
    if rows:
        header = ("backend", "metric", "BASE", "NEW", "change", "", "n", "contexts")
        named = "; ".join(f"{backend} ({', '.join(names)})" for backend, names in same.items())
        yield Table("Answers", header, rows, (f"Same scores: {named}",) if same else (), keys=2)
    elif scored:
        yield Table("Answers", (), (), ("Every score is the same.",))


def _word(metric: str, estimate: Estimate) -> str:
    """Return the direction of a change whose interval excludes 0."""
    if not estimate.excludes_zero:
        return ""
    better = definition(metric).better
    if better == "neither":
        return "changed"
    return "better" if (estimate.mean > 0) == (better == "higher") else "worse"


def _flipped_tables(flipped: Sequence[FlippedAnswers]) -> Iterator[Table]:
    """Yield how many answers flipped in each backend, and the first of them with both texts."""
    if not flipped:
        return
    yield Table(
        "Changed answers",
        ("backend", "judged by", "right -> wrong", "wrong -> right", "reworded", "questions"),
        tuple(
            (
                one.backend,
                one.metric,
                *map(printing.count, (one.lost.n, one.won.n, one.reworded, one.n)),
            )
            for one in flipped
        ),
    )
    for title, of_backends in (
        ("Was right, now wrong", [one.lost for one in flipped]),
        ("Was wrong, now right", [one.won for one in flipped]),
    ):
        n = sum(flips.n for flips in of_backends)
        if n:
            first = f", the first {MAX_FLIPPED}" if n > MAX_FLIPPED else ""
            answers = [answer for flips in of_backends for answer in flips.first]
            lines = tuple(map(_flipped, answers[:MAX_FLIPPED]))
            yield Table(f"{title}: {n:,}{first}", (), (), lines)


def _flipped(answer: FlippedAnswer) -> str:
    where = f"{answer.backend}, {answer.sample_id} {answer.question_id}"
    return f"{where} ({_targets(answer.targets)}): {_text(answer.base)} -> {_text(answer.new)}"


def _targets(cell: str) -> str:
    try:
        targets = json.loads(cell)
    except ValueError:
        return _text(cell)
    texts = [str(target) for target in targets] if isinstance(targets, list) else [str(targets)]
    return " or ".join(map(_text, texts[:3])) if texts else "no answer in the context"


def _text(text: str) -> str:
    return f'"{text if len(text) <= MAX_LETTERS else text[: MAX_LETTERS - 1] + "…"}"'


def _costs_table(changes: Sequence[Change], *, times: bool) -> Iterator[Table]:
    """Yield the change of every cost in percent, a row per backend."""
    cells = {(change.backend, change.metric): change for change in changes}
    shown = [name for name in COSTS if any(name == metric for _, metric in cells)]
    if not shown:
        return
    rows = [
        (backend, *(_cost(cells.get((backend, name))) for name in shown))
        for backend in dict.fromkeys(change.backend for change in changes)
    ]
    same = [row[0] for row in rows if set(row[1:]) <= {SAME, printing.UNKNOWN}]
    rows = [row for row in rows if row[0] not in same]
    title = "Costs" if times else "Costs, without times"
    notes = (f"Same costs: {'; '.join(same)}",) if same else ()
    yield Table(title, ("backend", *shown), tuple(rows), notes)


def _cost(change: Change | None) -> str:
    if change is None:
        return printing.UNKNOWN
    if change.estimate is None:
        return SAME
    return _shown(change.metric, change.estimate, in_percent=change.in_percent)


def _shown(metric: str, estimate: Estimate, *, in_percent: bool = False) -> str:
    """Return `+1.2 % [-0.1, +2.5]`, or the same in the metric's unit.

    The change stands alone if it is exact or has no interval.
    """
    mean, *ends = (
        f"{100 * value:+.1f}" if in_percent else _value(metric, value, signed=True)
        for value in (estimate.mean, estimate.low, estimate.high)
        if value is not None
    )
    unit = " %" if in_percent else ""
    is_alone = not ends or estimate.low == estimate.high
    return f"{mean}{unit}" if is_alone else f"{mean}{unit} [{', '.join(ends)}]"


def _value(metric: str, value: float, *, signed: bool = False) -> str:
    """Return a figure in its unit; scores with three digits, as gates are finer than reports."""
    of_unit = {"s": printing.seconds, "bytes": printing.size, "tokens/s": printing.rate}
    sign = "-" if value < 0 else "+" if signed else ""
    return f"{sign}{of_unit.get(definition(metric).unit, '{:.3f}'.format)(abs(value))}"
