"""The table of proofs: what was checked before the figures of a gist arm can be believed.

Those about masks and caches were run beside the rows and are kept in run.json. That a document's
own gists answer better than another's follows from the rows of swapped(gist).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from harness import printing, stats
from harness.controls import wrap
from harness.facts import Facts, Proved
from harness.printing import Table
from harness.rows import Rows
from harness.tables import COMPARED, INVALID, Section

MECHANICAL = "masks and caches"
OWN = "own beats swapped"
NOT_RUN = "not run"
LEGEND = (
    "Proofs: mechanical ones fail where answers see the context past its gists, or where more is "
    f"kept than is told; then all figures of that adapter are marked{INVALID}. {OWN}: a "
    "document's own gists minus another document's, asked the same questions."
)


def proof_tables(rows: Rows, sections: Sequence[tuple[str, str, Section]]) -> Iterator[Table]:
    """Yield the table of proofs where there are gist arms that answered.

    Args:
        rows: all rows of the report.
        sections: setup, suite and section, as the report has them.
    """
    scored = [each for each in sections if each[2].metrics and each[2].arms_named(COMPARED)]
    if not scored:
        return
    lines = list(dict.fromkeys([*_mechanical(rows, scored), *_own_and_swapped(scored)]))
    header = ("backend", "proof", "measured", "limit", "verdict")
    yield Table("Proofs", header, tuple(lines), legend=(LEGEND,), keys=2)


def _mechanical(
    rows: Rows, scored: Sequence[tuple[str, str, Section]]
) -> Iterator[tuple[str, ...]]:
    """Yield what the runs of the gist arms have checked."""
    for _, _, section in scored:
        for arm in section.arms_named(COMPARED):
            of_arm = section.frame.loc[section.frame["backend"] == arm, "run"].unique()
            for run in of_arm:
                yield from _lines(arm, rows.facts[run])


def _lines(arm: str, facts: Facts) -> Iterator[tuple[str, ...]]:
    name = arm.removesuffix(INVALID)
    proved = next((each for each in facts.proved if name in each.backends), Proved(()))
    shown = proved.backends[0] if proved.backends else name  # one adapter, one proof
    for proof, measured, limit, passed in proved.proofs:
        yield shown, proof, measured, limit, "pass" if passed else "FAIL"
    if not proved.proofs:
        why = proved.not_run or "gist-bench verify"
        yield shown, MECHANICAL, NOT_RUN, printing.UNKNOWN, why


def _own_and_swapped(scored: Sequence[tuple[str, str, Section]]) -> Iterator[tuple[str, ...]]:
    several = len({setup for setup, _, _ in scored}) > 1
    for setup, suite, section in scored:
        where = f"{suite} ({setup})" if several else suite
        for arm in section.arms_named(COMPARED):
            yield arm, f"{OWN}: {where}", *_difference(section, arm)


def _difference(section: Section, arm: str) -> tuple[str, str, str]:
    mark = INVALID if arm.endswith(INVALID) else ""
    other = wrap("swapped", arm.removesuffix(INVALID)) + mark
    frame = section.counted[section.counted["backend"].isin([arm, other])]
    paired = frame.pivot(
        index=["context", "question"], columns="backend", values=section.metrics[0]
    )
    both = paired.reindex(columns=[arm, other]).dropna()
    if both.empty:
        return NOT_RUN, "above 0", "run with --controls"
    own, swapped = both.to_numpy(np.float64).T  # each (n,)
    contexts = both.index.get_level_values("context").to_numpy(np.int64)
    found = stats.difference_estimate(own, swapped, contexts)
    shown = f"{own.mean():.2f} - {swapped.mean():.2f} = {printing.interval(found, signed=True)}"
    return shown, "above 0", "pass" if found.is_above(0) else "not shown"
