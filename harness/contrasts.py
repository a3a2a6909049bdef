"""Arm against arm: paired differences, the gap recovered, and answers given what was retrieved.

Pairs are the same question of the same sample; a question that one of the arms could not answer
is in none. tables.py has each arm by itself.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from harness import printing, stats
from harness.printing import Table
from harness.tables import CEILING, COMPARED, FLOOR, Section, estimates, with_n

DIFFERENCE = (
    "Paired differences: over questions that both arms answered. Of many intervals, some exclude "
    "0 by chance."
)
GAP = (
    f"Gap recovered: (backend - {FLOOR}) / ({CEILING} - {FLOOR}), over questions that all three "
    "answered."
)
RETRIEVAL = (
    "Evidence recall: share of the proving sentences that are whole in the passages shown. "
    "A hit: all of them."
)


def contrast_tables(section: Section) -> Iterator[Table]:
    """Yield the tables for which the section has the arms."""
    main = section.metrics[0]
    paired = section.counted.pivot(index=["context", "question"], columns="backend", values=main)
    yield from _difference_table(section, paired)
    yield from _gap_table(section, paired)
    yield from _retrieval_table(section)


def _difference_table(section: Section, paired: pd.DataFrame) -> Iterator[Table]:
    """Yield the differences of every gist arm to every other arm, each pair once."""
    rows: list[tuple[str, ...]] = []
    done: list[str] = []
    arms = section.arms
    for arm in section.arms_named(COMPARED):
        done.append(arm)
        for other in (other for other in arms if other not in done):
            columns, contexts = _common(paired, (arm, other))
            if not len(contexts):
                continue
            found = stats.difference_estimate(columns[0], columns[1], contexts)
            shown = printing.interval(found, signed=True)
            rows.append((arm, other, shown, *_counts(found), _verdict(found)))
    if rows:
        main = section.metrics[0]
        yield Table(
            f"Paired differences in {main}",
            ("backend", "minus", "difference", "n", "contexts", "excludes 0"),
            tuple(rows),
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


def _verdict(found: stats.Estimate) -> str:
    if found.low is None:
        return printing.UNKNOWN
    return "yes" if found.excludes_zero else "no"
