"""A comparison as a page: verdicts first, then what changed in each suite, then which answers.

Figures that did not change at all are named in one line, so that a page about two equal runs is
short. Nothing is computed here but what is shown.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from harness import printing
from harness.changes import COSTS, Change, Turn, Turns
from harness.gates import HOLDS, REGRESSED, UNKNOWN, Gate, Verdict, state_of
from harness.metrics import METRICS
from harness.printing import Page, Table

if TYPE_CHECKING:
    from harness.pairing import Pairs
    from harness.stats import Estimate

SHOWN = 10  # answers that turned, of each suite and direction
SAME = "="
LONGEST = 120  # characters of a text
LEGEND = (
    "change: NEW - BASE over what both runs have, costs in percent of BASE; in brackets 95 % "
    "intervals that resample contexts. =: not changed at all. -: not known, or left out.",
    "A gate fails where the whole interval lies beyond its tolerance. Times also change with what "
    "else a machine does: repeat both runs before you call a time a regression.",
)


def add_warnings(page: Page, warnings: Sequence[str]) -> None:
    """Add what stands in the way of a full comparison."""
    if warnings:
        page.add_table(Table("Warnings", (), (), tuple(warnings)))


def add_gates(page: Page, verdicts: Mapping[Gate, Sequence[Verdict]]) -> None:
    """Add a line per regression, and for a gate that holds the place that is nearest to failing."""
    lines = tuple(line for gate, found in verdicts.items() for line in _gate_lines(gate, found))
    if lines:
        page.add_table(Table("Gates", (), (), lines))


def add_suites(
    page: Page, changes: Sequence[Change], turns: Sequence[Turns], *, times: bool
) -> None:
    """Add what changed, suite by suite; suites in which nothing did are named."""
    same: list[str] = []
    for suite in dict.fromkeys(change.suite for change in changes):
        own = [change for change in changes if change.suite == suite]
        turned = [arm for arm in turns if arm.suite == suite and arm.changed]
        if not turned and all(change.same for change in own):
            same.append(suite)
            continue
        page.add_heading(suite)
        for table in (
            *_answers_table([change for change in own if change.is_answer]),
            *_turns_tables(turned),
            *_costs_table([c for c in own if c.metric in COSTS], times=times),
        ):
            page.add_table(table)
    if same:
        page.add_notes([f"Nothing changed in {'; '.join(same)}."])


def result(pairs: "Pairs", verdicts: Mapping[Gate, Sequence[Verdict]]) -> str:
    """Return the last line: what was compared, and what the exit code says."""
    compared = f"{len(pairs.base):,} questions compared."
    if not verdicts:
        return f"{compared} No --fail-on, so nothing could fail."
    by_state = {
        word: [gate.text for gate, found in verdicts.items() if state_of(found) == state]
        for word, state in (("REGRESSED", REGRESSED), ("Not judged", UNKNOWN), ("Holds", HOLDS))
    }
    told = [f"{word}: {', '.join(gates)}." for word, gates in by_state.items() if gates]
    return " ".join([compared, *told])


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
    sides = [_value(change.metric, float(side.mean())) for side in (change.base, change.new)]
    # A share of 0 is none: then the verdict is about the difference itself.
    relative = verdict.gate.relative and change.relative is not None
    shown = _percent(estimate) if relative else _absolute(change.metric, estimate)
    unit = "contexts" if change.is_answer else "samples"
    n = f"{estimate.contexts:,} {unit}"
    return f"{change.suite}, {change.backend}: {sides[0]} -> {sides[1]}, {shown}, {n}"


def _answers_table(changes: Sequence[Change]) -> Iterator[Table]:
    """Yield the scores that changed; what did not is named."""
    rows = tuple(
        (
            change.backend,
            change.metric,
            _value(change.metric, float(change.base.mean())),
            _value(change.metric, float(change.new.mean())),
            _absolute(change.metric, change.absolute),
            _word(change),
            printing.count(change.absolute.n),
            printing.count(change.absolute.contexts),
        )
        for change in changes
        if not change.same
    )
    # That nothing failed in either run goes without saying.
    scored = [change for change in changes if change.metric != "errors"]
    same: dict[str, list[str]] = {}
    for change in scored:
        if change.same:
            same.setdefault(change.backend, []).append(change.metric)
    if scored and len(scored) == sum(map(len, same.values())) and not rows:
        yield Table("Answers", (), (), ("Every score is the same.",))
    elif rows:
        header = ("backend", "metric", "BASE", "NEW", "change", "", "n", "contexts")
        named = "; ".join(f"{arm} ({', '.join(names)})" for arm, names in same.items())
        yield Table("Answers", header, rows, (f"Same scores: {named}",) if same else (), keys=2)


def _word(change: Change) -> str:
    """Return whether the change is told from none, and which way it goes."""
    if not change.absolute.excludes_zero:
        return ""
    better = METRICS[change.metric].better if change.metric in METRICS else "neither"
    if better == "neither":
        return "changed"
    return "better" if (change.absolute.mean > 0) == (better == "higher") else "worse"


def _turns_tables(turns: Sequence[Turns]) -> Iterator[Table]:
    """Yield how many answers turned in each arm, and the first of them with both texts."""
    if not turns:
        return
    yield Table(
        "Changed answers",
        ("backend", "judged by", "right -> wrong", "wrong -> right", "reworded", "questions"),
        tuple(
            (
                arm.backend,
                arm.metric,
                *map(printing.count, (len(arm.lost), len(arm.won), arm.reworded, arm.n)),
            )
            for arm in turns
        ),
    )
    for title, found in (
        ("Was right, now wrong", [turn for arm in turns for turn in arm.lost]),
        ("Was wrong, now right", [turn for arm in turns for turn in arm.won]),
    ):
        if found:
            first = f", the first {SHOWN}" if len(found) > SHOWN else ""
            lines = tuple(_turned(turn) for turn in found[:SHOWN])
            yield Table(f"{title}: {len(found):,}{first}", (), (), lines)


def _turned(turn: Turn) -> str:
    where = f"{turn.backend}, {turn.sample_id} {turn.question_id}"
    return f"{where} ({_targets(turn.targets)}): {_text(turn.base)} -> {_text(turn.new)}"


def _targets(cell: str) -> str:
    try:
        targets = json.loads(cell)
    except ValueError:
        return _text(cell)
    texts = [str(target) for target in targets] if isinstance(targets, list) else [str(targets)]
    return " or ".join(map(_text, texts[:3])) if texts else "no answer in the context"


def _text(text: str) -> str:
    return f'"{text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"}"'


def _costs_table(changes: Sequence[Change], *, times: bool) -> Iterator[Table]:
    """Yield the change of every cost in percent, a row per arm."""
    cells = {(change.backend, change.metric): change for change in changes}
    shown = [name for name in COSTS if any(name == metric for _, metric in cells)]
    if not shown:
        return
    rows = [
        (arm, *(_cost(cells.get((arm, name))) for name in shown))
        for arm in dict.fromkeys(change.backend for change in changes)
    ]
    same = [row[0] for row in rows if set(row[1:]) <= {SAME, printing.UNKNOWN}]
    rows = [row for row in rows if row[0] not in same]
    title = "Costs" if times else "Costs, without times"
    notes = (f"Same costs: {'; '.join(same)}",) if same else ()
    yield Table(title, ("backend", *shown), tuple(rows), notes)


def _cost(change: Change | None) -> str:
    if change is None:
        return printing.UNKNOWN
    if change.same:
        return SAME
    if change.relative is None:
        return _absolute(change.metric, change.absolute)
    return _percent(change.relative)


def _percent(estimate: "Estimate") -> str:
    return _bracketed(estimate, [f"{100 * value:+.1f}" for value in _figures(estimate)], " %")


def _absolute(metric: str, estimate: "Estimate") -> str:
    return _bracketed(estimate, [_value(metric, v, signed=True) for v in _figures(estimate)])


def _figures(estimate: "Estimate") -> Iterable[float]:
    return (value for value in (estimate.mean, estimate.low, estimate.high) if value is not None)


def _bracketed(estimate: "Estimate", shown: Sequence[str], unit: str = "") -> str:
    """Return `+1.2 % [-0.1, +2.5]`, or the change alone if it is exact or has no interval."""
    if len(shown) < 3 or estimate.low == estimate.high:
        return f"{shown[0]}{unit}"
    return f"{shown[0]}{unit} [{shown[1]}, {shown[2]}]"


def _value(metric: str, value: float, *, signed: bool = False) -> str:
    """Return a figure in its unit; scores with three digits, as gates are finer than reports."""
    unit = METRICS[metric].unit if metric in METRICS else ""
    sign = "+" if signed and value >= 0 else ""
    if unit == "s":
        size = printing.seconds(abs(value))
        return f"{sign or ('-' if value < 0 else '')}{size}"
    if unit == "bytes":
        return f"{sign}{printing.size(value)}"
    if unit == "tokens/s":
        return f"{sign}{printing.rate(value)}"
    return f"{sign}{value:.3f}"
