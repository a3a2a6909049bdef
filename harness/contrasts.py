"""Arm against arm: paired differences, the gap recovered, and answers given what was retrieved.

Pairs are the same question of the same sample; a question that one of the arms could not answer
is in none. tables.py has each arm by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from harness import printing, significance, stats
from harness.printing import Table
from harness.tables import CEILING, COMPARED, FLOOR, Section, estimates, with_n

DIFFERENCE = (
    "Paired differences: over questions that both arms answered. p: McNemar's exact test where "
    "every context has one question, else signs flipped over contexts; Holm: p adjusted for the "
    "number of pairs. Detectable: the true difference that so many contexts would show at 5 % in "
    "4 of 5 runs; a smaller one may be there unseen."
)
GAP = (
    f"Gap recovered: (backend - {FLOOR}) / ({CEILING} - {FLOOR}), over questions that all three "
    "answered."
)
RETRIEVAL = (
    "Evidence recall: share of the proving sentences that are whole in the passages shown. "
    "A hit: all of them."
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two arms of a section, compared on the headline metric."""

    arm: str
    other: str  # what is subtracted
    contrast: significance.Contrast
    holm: float  # p adjusted for the number of pairs in the section


def contrast_tables(section: Section) -> Iterator[Table]:
    """Yield the tables for which the section has the arms."""
    yield from _difference_table(section)
    yield from _gap_table(section, _paired(section))
    yield from _retrieval_table(section)


def pairs(section: Section) -> list[Pair]:
    """Compare every gist arm with every other arm, each pair once; without one, all arms.

    Pairs of arms that answered no question in common are left out, and so are different backends
    at different budgets: they differ in two things, and every pair makes the others less sure.
    """
    paired = _paired(section)
    arms = section.arms
    compared = section.arms_named(COMPARED) or arms
    # The arm that is compared stands in front, whatever the order of the rows.
    ordered = [*compared, *(arm for arm in arms if arm not in compared)]
    found = []
    for arm, other in combinations(ordered, 2):
        if arm not in compared or not _is_fair(section, arm, other):
            continue
        columns, contexts = _common(paired, (arm, other))
        if len(contexts):
            found.append((arm, other, significance.contrast(columns[0], columns[1], contexts)))
    adjusted = significance.holm([contrast.p for _, _, contrast in found])
    return [Pair(*pair, p) for pair, p in zip(found, adjusted, strict=True)]


def _is_fair(section: Section, arm: str, other: str) -> bool:
    """Say whether two arms have the same budget, if both have one, or nothing but that differs."""
    mine, its = section.budgets.get(arm), section.budgets.get(other)
    return not (mine and its) or mine.tokens == its.tokens or mine.family == its.family


def _paired(section: Section) -> pd.DataFrame:
    """Return the headline metric with a row per question and a column per arm."""
    main = section.metrics[0]
    return section.counted.pivot(index=["context", "question"], columns="backend", values=main)


def _difference_table(section: Section) -> Iterator[Table]:
    rows = tuple(
        (
            pair.arm,
            pair.other,
            printing.interval(pair.contrast.difference, signed=True),
            pair.contrast.test,
            _p(pair.contrast.p),
            _p(pair.holm),
            _detectable(pair.contrast.detectable),
            *_counts(pair.contrast.difference),
        )
        for pair in pairs(section)
    )
    if rows:
        header = ("backend", "minus", "difference", "test", "p", "Holm", "detectable")
        yield Table(
            f"Paired differences in {section.metrics[0]}",
            (*header, "n", "contexts"),
            rows,
            legend=(DIFFERENCE,),
            keys=2,
        )


def _gap_table(section: Section, paired: pd.DataFrame) -> Iterator[Table]:
    """Yield how far from closed book to full context each other arm goes."""
    floors, ceilings = section.arms_named(FLOOR), section.arms_named(CEILING)
    if not floors or not ceilings:
        return
    floor, ceiling = floors[0], ceilings[0]
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for arm in section.arms:
        if arm in (floor, ceiling):
            continue
        columns, contexts = _common(paired, (arm, floor, ceiling))
        if not len(contexts):
            continue
        found = stats.gap_recovered(columns[0], columns[1], columns[2], contexts)
        if found is None:
            notes.append(f"{arm}: left out, as {ceiling} and {floor} cannot be told apart.")
        else:
            rows.append((arm, printing.interval(found), *_counts(found)))
    if rows or notes:
        header = ("backend", "recovered", "n", "contexts")
        title = f"Gap recovered in {section.metrics[0]}"
        yield Table(title, header, tuple(rows), tuple(notes), (GAP,))


def _retrieval_table(section: Section) -> Iterator[Table]:
    """Yield what arms that show the model passages found, and what they scored then."""
    main, frame = section.metrics[0], section.counted
    recall = estimates(frame, "evidence_recall")
    hits = estimates(frame[frame["evidence_recall"] == 1], main)
    misses = estimates(frame[frame["evidence_recall"] < 1], main)
    rows = tuple(
        (arm, *(with_n(found.get(arm), 0) for found in (recall, hits, misses)))
        for arm in section.arms
        if arm in recall
    )
    if rows:
        header = ("backend", "evidence recall", f"{main} given a hit", f"{main} given a miss")
        yield Table("Retrieval", header, rows, legend=(RETRIEVAL,))


def _common(paired: pd.DataFrame, arms: Sequence[str]) -> tuple[stats.Floats, stats.Ints]:
    """Return the metric where all arms have one, (arms, n), and each question's context, (n,)."""
    known = paired.reindex(columns=list(arms)).dropna()
    contexts = known.index.get_level_values("context").to_numpy(np.int64)
    return known.to_numpy(np.float64).T, contexts


def _counts(found: stats.Estimate) -> tuple[str, str]:
    return printing.count(found.n), printing.count(found.contexts)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def _detectable(value: float | None) -> str:
    return printing.UNKNOWN if value is None else f"{value:.2f}"
