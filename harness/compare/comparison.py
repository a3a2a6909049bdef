"""The comparison of two runs: what changed, the verdicts of the gates, and the page about both."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.compare import page as compare_page
from harness.compare.changes import Change, all_figures, definition
from harness.compare.flips import flipped_answers
from harness.compare.gates import (
    HEADLINE,
    HOLDS,
    REGRESSED,
    UNKNOWN,
    Gate,
    Verdict,
    judged,
    state_of,
)
from harness.compare.pairing import Pairs, read_pairs
from harness.errors import UserError, did_you_mean
from harness.report.format import Page, Table

WIDTH = 100  # columns of a terminal


@dataclass(frozen=True, slots=True)
class Comparison:
    """A finished comparison."""

    text: str
    exit_code: int  # 0 all gates hold, 1 one regressed, 2 one could not be judged


def compare(
    base: Path,
    new: Path,
    *,
    fail_on: Sequence[str] = (),
    headline: str = "",
    markdown: bool = False,
    width: int = WIDTH,
) -> Comparison:
    """Compare two runs.

    Args:
        base: a run folder or its records.csv.
        new: another one, on the same data.
        fail_on: gates, see `harness.compare.gates`.
        headline: the metric of answers, where it is not what the runs declare.
        markdown: pipe tables instead of aligned text.
        width: columns of the terminal.

    Raises:
        UserError: a gate is malformed or about a figure that the runs do not have, a path holds
            no run, or the runs are on different data.
    """
    gates = list(dict.fromkeys(map(Gate.parse, fail_on)))
    pairs = read_pairs(base, new, headline=headline)
    changes: list[Change] = []
    verdicts: dict[Gate, list[Verdict]] = {gate: [] for gate in gates}
    for figure in all_figures(pairs):
        changes.append(figure.change)
        for gate in gates:
            if gate.is_about(figure.change):
                verdicts[gate].append(judged(gate, figure))
    _refuse_unknown(gates, changes, pairs)
    page = Page(markdown=markdown, width=width)
    page.add_notes([f"BASE: {base}", f"NEW:  {new}", *pairs.notes])
    if pairs.warnings:
        page.add_table(Table("Warnings", (), (), pairs.warnings))
    gone = pairs.gone if gates else ()
    compare_page.add_gates(page, verdicts, gone)
    compare_page.add_suites(page, changes, list(flipped_answers(pairs)), times=pairs.same_machine)
    page.add_notes(compare_page.LEGEND)
    page.add_notes([compare_page.result(pairs, verdicts)])
    states = {state_of(found) for found in verdicts.values()} | ({REGRESSED} if gone else set())
    codes = {REGRESSED: 1, UNKNOWN: 2, HOLDS: 0}
    return Comparison(page.text(), next((codes[s] for s in codes if s in states), 0))


def _refuse_unknown(gates: Iterable[Gate], changes: Iterable[Change], pairs: Pairs) -> None:
    """Refuse a gate on what no suite has; a gate on a time that was left out is not judged."""
    found = sorted({change.metric for change in changes})
    if any(change.is_headline for change in changes):
        found.append(HEADLINE)
    for gate in gates:
        left_out = definition(gate.metric).is_time and not pairs.same_machine
        if gate.metric not in found and not left_out and not pairs.gone:
            raise UserError(
                f"--fail-on {gate.text}: no suite of both runs has {gate.metric!r}. "
                f"{did_you_mean(gate.metric, found)}They have: {', '.join(found)}."
            )
