"""Backends compared: paired differences, the gap recovered, and scores by what was retrieved.

A pair is the same question of the same sample; a question that one of the backends could not
answer is in none. tables.py has each backend by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from harness.report import format as printing
from harness.report import significance, stats
from harness.report.estimates import estimates, with_n
from harness.report.format import Table
from harness.report.sections import CEILING, COMPARED, FLOOR, Section
from harness.run.kept import Kept
from harness.run.metrics import Metric

DIFFERENCE = (
    "Paired differences: over questions that both backends answered. p: McNemar's exact test where "
    "every context has one question, else signs flipped over contexts; Holm: p adjusted for the "
    "number of pairs. Detectable: the true difference that this many contexts show at a level of "
    "5 % in 4 of 5 runs; a smaller one may go unseen."
)
GAP = (
    f"Gap recovered: (backend - {FLOOR}) / ({CEILING} - {FLOOR}), over questions that all three "
    "answered."
)
RETRIEVAL = (
    "Evidence recall: fraction of the supporting sentences that are whole in the passages shown. "
    "A hit: all of them."
)
_compared = partial(Metric, kind="comparison", is_column=False)
METRICS = (
    _compared(
        "gap_recovered",
        "(backend - closed_book) / (full - closed_book) on the headline metric; none where full "
        "and closed_book cannot be told apart.",
        "ratio",
        headings=("recovered",),
    ),
    _compared(
        "difference",
        "Mean over questions that both backends answered of one backend's metric minus the "
        "other's; the interval resamples contexts.",
        better="neither",
        source="paired differences with clustered errors, arXiv 2411.00640",
    ),
    _compared(
        "p",
        "How often equal backends would differ so much by chance: McNemar's exact test where "
        "every context has one yes-or-no question, else signs flipped over contexts.",
        better="neither",
        source="scipy binomtest and permutation_test",
        headings=("test", "p"),
    ),
    _compared(
        "p_holm",
        "p adjusted for the number of pairs in the table.",
        better="neither",
        source="Holm 1979, Scandinavian Journal of Statistics 6",
        headings=("Holm",),
    ),
    _compared(
        "detectable",
        "Minimum detectable difference: the true difference that as many contexts, equally "
        "spread, show at a level of 5 % in 80 of 100 runs.",
        better="lower",
    ),
    _compared(
        "given_hit",
        "The headline metric over questions with an evidence_recall of 1, and over those below.",
        better="neither",
        headings=("given a hit", "given a miss"),
    ),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two backends of a section, compared on the headline metric."""

    backend: str
    other: str  # what is subtracted
    contrast: significance.Contrast
    holm: float  # p adjusted for the number of pairs in the section


def contrast_tables(section: Section) -> Iterator[Table]:
    """Yield the tables for which the section has the backends."""
    yield from _difference_table(section)
    yield from _gap_table(section)
    yield from retrieval_tables(section)


def pairs(section: Section) -> list[Pair]:
    """Compare gists with every other backend, each pair once; without gists, all backends.

    Pairs of backends that answered no question in common are left out, and so are different
    backends at different budgets: they differ in two ways, and each pair widens Holm's correction.
    """
    compared = section.backends_named(COMPARED) or section.backends
    # The backend that is compared stands in front, whatever the order of the rows.
    ordered = dict.fromkeys((*compared, *section.backends))
    contrasts = [
        (backend, other, found)
        for backend, other in combinations(ordered, 2)
        if backend in compared
        and _is_fair(section, backend, other)
        and (found := contrast_of(section, backend, other)) is not None
    ]
    adjusted = significance.holm([contrast.p for _, _, contrast in contrasts])
    return [Pair(*pair, p) for pair, p in zip(contrasts, adjusted, strict=True)]


def _is_fair(section: Section, backend: str, other: str) -> bool:
    """Say whether two backends have one budget, or differ in nothing but their budgets."""
    mine, its = section.budgets.get(backend), section.budgets.get(other)
    return not (mine and its) or mine.tokens == its.tokens or mine.family == its.family


def _difference_table(section: Section) -> Iterator[Table]:
    rows = tuple(
        (
            pair.backend,
            pair.other,
            printing.interval(pair.contrast.difference, signed=True),
            pair.contrast.test,
            _p(pair.contrast.p),
            _p(pair.holm),
            printing.share(pair.contrast.detectable),
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


def _gap_table(section: Section) -> Iterator[Table]:
    """Yield how much of the gap from closed book to full context each other backend recovers."""
    floors, ceilings = section.backends_named(FLOOR), section.backends_named(CEILING)
    if not floors or not ceilings:
        return
    floor, ceiling = floors[0], ceilings[0]
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for backend in section.backends:
        if backend in (floor, ceiling):
            continue
        (mine, least, most), contexts = common(section, backend, floor, ceiling)
        if not len(contexts):
            continue
        recovered = stats.gap_recovered(mine, least, most, contexts)
        if recovered is not None:
            rows.append((backend, printing.interval(recovered), *_counts(recovered)))
        elif significance.contrast(least, most, contexts).is_above_zero:
            notes.append(f"{backend}: left out, as {floor} beats {ceiling}.")
        else:
            notes.append(f"{backend}: left out, as {ceiling} and {floor} cannot be told apart.")
    if rows or notes:
        header = ("backend", "recovered", "n", "contexts")
        title = f"Gap recovered in {section.metrics[0]}"
        yield Table(title, header, tuple(rows), tuple(notes), (GAP,))


def retrieval_scores(section: Section) -> dict[str, dict[str, stats.Estimate]]:
    """Return what backends that show passages retrieved, and their scores with and without it.

    Each column of the table has its estimates by backend.
    """
    main, rows, recall = section.metrics[0], section.counted, "evidence_recall"
    return {
        "evidence recall": estimates(rows, recall),
        f"{main} given a hit": estimates(rows.where(recall, lambda share: share == 1), main),
        f"{main} given a miss": estimates(rows.where(recall, lambda share: share < 1), main),
    }


def retrieval_tables(section: Section) -> Iterator[Table]:
    """Yield the table of retrieval where a backend shows the model passages."""
    columns = retrieval_scores(section)
    rows = tuple(
        (backend, *(with_n(scores.get(backend), 0) for scores in columns.values()))
        for backend in section.backends
        if backend in columns["evidence recall"]
    )
    if rows:
        yield Table("Retrieval", ("backend", *columns), rows, legend=(RETRIEVAL,))


def contrast_of(section: Section, backend: str, other: str) -> significance.Contrast | None:
    """Compare two backends on the headline metric; None if they share no question."""

    def found() -> significance.Contrast | None:
        (first, second), contexts = common(section, backend, other)
        return significance.contrast(first, second, contexts) if len(contexts) else None

    return section.once(("contrast", backend, other), found)


def common(section: Section, *backends: str) -> tuple[stats.Floats, stats.Ints]:
    """Return the headline metric where all backends have one.

    Returns:
        The metric, (backends, n), and the number of each question's context, (n,).
    """
    frame = paired(section.counted, section.metrics[0], backends)
    return frame[list(backends)].to_numpy(np.float64).T, frame["context"].to_numpy(np.int64)


def paired(
    rows: Kept, metric: str, backends: Sequence[str], besides: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a metric, a column for each backend, of the questions that all of them answered.

    The questions stand by context, with `context`, `question` and, of the first backend's rows,
    the columns `besides`.
    """
    keys, (first, *others) = ["context", "question"], backends
    table = rows.of(first).having(metric)[[*keys, metric, *besides]]
    table = table.rename(columns={metric: first})
    for backend in others:
        known = rows.of(backend).having(metric)[[*keys, metric]]
        table = table.merge(known.rename(columns={metric: backend}), on=keys)
    return table.sort_values("context", kind="stable", ignore_index=True)


def _counts(estimate: stats.Estimate) -> tuple[str, str]:
    return printing.count(estimate.n), printing.count(estimate.contexts)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "<0.001"
