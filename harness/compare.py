"""The comparison of two runs: what changed, what the gates say of it, and the page that tells it.

pandas and scipy are imported when a comparison is made, and not before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.gates import HOLDS, REGRESSED, UNKNOWN, Gate, judged, state_of
from harness.spec import did_you_mean

if TYPE_CHECKING:
    from harness.changes import Change
    from harness.pairing import Pairs

WIDTH = 100  # columns of a terminal


@dataclass(frozen=True, slots=True)
class Comparison:
    """A finished comparison."""

    text: str
    exit_code: int  # 0 holds, 1 regressed, 2 a gate could be judged nowhere


def compare(
    base: Path,
    new: Path,
    *,
    fail_on: Sequence[str] = (),
    markdown: bool = False,
    width: int = WIDTH,
) -> Comparison:
    """Compare two runs.

    Args:
        base: a run folder or its records.csv.
        new: another one, on the same data.
        fail_on: gates, see `harness.gates`.
        markdown: pipe tables instead of aligned text.
        width: columns of the terminal.

    Raises:
        UserError: a gate is malformed or about a figure that the runs do not have, a path holds
            no run, or the runs are on different data.
    """
    gates = list(dict.fromkeys(map(Gate.parse, fail_on)))
    from harness import compare_page
    from harness.changes import all_changes, all_turns
    from harness.pairing import read_pairs
    from harness.printing import Page

    pairs = read_pairs(base, new)
    changes = list(all_changes(pairs))
    _refuse_unknown(gates, changes, pairs)
    verdicts = {
        gate: [judged(gate, change) for change in changes if change.metric == gate.metric]
        for gate in gates
    }
    page = Page(markdown=markdown, width=width)
    page.add_notes([f"BASE: {base}", f"NEW:  {new}", *pairs.notes])
    compare_page.add_warnings(page, pairs.warnings)
    compare_page.add_gates(page, verdicts)
    compare_page.add_suites(page, changes, list(all_turns(pairs)), times=pairs.same_machine)
    page.add_notes(compare_page.LEGEND)
    page.add_notes([compare_page.result(pairs, verdicts)])
    states = {state_of(found) for found in verdicts.values()}
    codes = {REGRESSED: 1, UNKNOWN: 2, HOLDS: 0}
    return Comparison(page.text(), next((codes[s] for s in codes if s in states), 0))


def _refuse_unknown(gates: Iterable[Gate], changes: Iterable["Change"], pairs: "Pairs") -> None:
    """Refuse a gate on what no suite has; one on a time that was left out is not judged."""
    from harness.metrics import METRICS

    found = sorted({change.metric for change in changes})
    for gate in gates:
        left_out = gate.metric in METRICS and METRICS[gate.metric].is_time
        if gate.metric not in found and (pairs.same_machine or not left_out):
            raise UserError(
                f"--fail-on {gate.text}: no suite of both runs has {gate.metric!r}. "
                f"{did_you_mean(gate.metric, found)}They have: {', '.join(found)}."
            )
