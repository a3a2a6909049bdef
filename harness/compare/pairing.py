"""Two runs, question by question: what both have, what one has, and whether they compare.

A pair is the same suite, backend, sample and question in both. A question of the base that the new
run has no row of is paired with a row without an answer, as if it had ended in an error. Runs on
different data are refused: their difference would be one of the questions. Runs on different
machines are paired without their times, which say nothing about the code.

Only the places of rows that belong together are in memory. Columns are read cell by cell: those of
one backend of one suite at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.compare.settings import (
    differing_settings,
    of_machines,
    of_status,
    refuse_other_files,
)
from harness.errors import UserError
from harness.report.sections import holds_out
from harness.run.headline import Headline, declared
from harness.run.kept import Kept
from harness.run.rows import Rows, read_rows

MISSING = "missing"  # in place of an error, where there is no row
NO_ROW = -1  # in place of its number
KEYS = ["sample_id", "question_id"]  # of a suite and backend
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cell:
    """The rows of one suite and backend in two runs, in the order of the base."""

    suite: str
    backend: str
    base: Kept  # n rows
    new: Kept
    at_new: Ints  # (n,) places of the same questions in `new`; `NO_ROW`: there is none

    @property
    def in_common(self) -> int:
        """How many questions both runs have a row of."""
        return int((self.at_new != NO_ROW).sum())

    def columns(self, names: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return columns of both runs, (n, names) each; row k is the same question."""
        base, new = self.base[list(names)], self.new[list(names)]
        if not np.array_equal(self.at_new, new.index):
            new = new.reindex(self.at_new).reset_index(drop=True)
        lost = self.at_new == NO_ROW
        if lost.any():
            nothing = base.loc[lost, [name for name in names if name in self.base.texts]]
            said = {"error": MISSING, "answer": ""}
            for name in nothing:
                new.loc[lost, name] = said.get(name, nothing[name])
        return base, new


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two runs have in common, and what limits their comparison."""

    cells: tuple[Cell, ...]  # those that both have first
    metrics: tuple[str, ...]  # columns that both have
    headlines: Mapping[str, Headline]  # of each suite
    holds_out: bool  # whether the held-out slice has figures of its own
    slices: tuple[str, ...]
    notes: tuple[str, ...]  # settings that differ
    warnings: tuple[str, ...]  # what limits the comparison
    same_machine: bool  # and known to be: times can be compared
    in_common: int  # questions that both runs have a row of
    gone: tuple[str, ...]  # what no longer answers at all: suite, backend, and why


def read_pairs(base: Path, new: Path, *, headline: str = "") -> Pairs:
    """Read two runs and pair their rows.

    Args:
        base: a run folder or its records.csv.
        new: another one.
        headline: the metric of answers, where it is not what the runs declare.

    Raises:
        UserError: a path holds no run, or the runs have different data or nothing in common.
    """
    old, now = (read_rows([path], answers=True, headline=headline) for path in (base, new))
    before, after = old.suites, now.suites
    _refuse_several("BASE", base, before)
    _refuse_several("NEW", new, after)
    refuse_other_files(old.metadata, now.metadata)
    cells = list(_cells(before, after))
    in_common = sum(cell.in_common for cell in cells)
    if not in_common:
        raise UserError(
            f"{base} and {new} have no question in common: suite, backend, sample_id and "
            "question_id must be the same. Run the same suites and backends."
        )
    _refuse_other_data(cells, in_common)
    machines = [{run.machine for run in side.metadata} for side in (old, now)]
    known = all(len(names) == 1 and "" not in names for names in machines)
    same = known and machines[0] == machines[1]
    metrics = tuple(name for name in old.metrics if name in now.metrics)
    headlines = _headlines(cells, metrics, (old, now), headline)
    of_both = {(cell.suite, cell.backend): cell.in_common for cell in cells}
    return Pairs(
        tuple(cells),
        metrics,
        headlines,
        holds_out((*old.metadata, *now.metadata)),
        tuple(name for name in old.slices if name in now.slices),
        (
            *dict.fromkeys(filter(None, (h.note for h in headlines.values()))),
            *differing_settings(old.metadata, now.metadata),
        ),
        (
            *of_status("BASE", old.metadata),
            *of_status("NEW", now.metadata),
            *_unpaired("BASE", before, after, of_both),
            *_unpaired("NEW", after, before, of_both),
            *of_machines(machines, same=same),
            *_of_memory(cells),
            *_lost_metrics(cells, old, now),
        ),
        same,
        in_common,
        tuple(_gone(cells)),
    )


def _refuse_several(name: str, path: Path, suites: Mapping[str, Kept]) -> None:
    for suite, rows in suites.items():
        for backend in rows.backends:
            keys = rows.of(backend)[KEYS]
            repeated = keys.duplicated()
            if repeated.any():
                sample, question = keys[repeated].iloc[0]
                raise UserError(
                    f"{name} {path} has question {question!r} of sample {sample!r} several times "
                    f"for {suite}, {backend}. Give one run folder."
                )


def _cells(before: Mapping[str, Kept], after: Mapping[str, Kept]) -> list[Cell]:
    """Return a cell for each backend of the suites that both runs have, those in common first.

    A suite that the new run did not run at all is named in a warning, and judged by no gate.
    """
    cells = [
        _cell(suite, backend, rows.of(backend), after[suite].of(backend))
        for suite, rows in before.items()
        if suite in after
        for backend in rows.backends
    ]
    return sorted(cells, key=lambda cell: not cell.in_common)


def _cell(suite: str, backend: str, base: Kept, new: Kept) -> Cell:
    first, second = (pd.MultiIndex.from_frame(rows[KEYS]) for rows in (base, new))
    return Cell(suite, backend, base, new, second.get_indexer(first).astype(np.int64))


def _headlines(
    cells: Sequence[Cell], metrics: Sequence[str], sides: tuple[Rows, Rows], wanted: str
) -> dict[str, Headline]:
    """Return the headline of each suite by the metrics that the base has there."""
    runs = [run for side in sides for run in side.metadata]
    filled: dict[str, set[str]] = {}
    for cell in cells:
        of_suite = filled.setdefault(cell.suite, set())
        of_suite |= {name for name in metrics if name not in of_suite and cell.base.has(name)}
    return {
        suite: declared(suite, [name for name in metrics if name in found], runs, wanted)
        for suite, found in filled.items()
    }


def _gone(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield each suite and backend that answered in the base, and answers nothing any more."""
    for cell in cells:
        before, now = (side["error"] for side in cell.columns(["error"]))
        if (before == "").any() and (now != "").all():
            counts = (f"{n:,} {error}" for error, n in now.value_counts().items())
            yield f"{cell.suite}, {cell.backend}: no answers in NEW ({', '.join(counts)})"


def _refuse_other_data(cells: Sequence[Cell], in_common: int) -> None:
    """Compare the targets and the context's size of the same question."""
    for column in ("targets", "context_tokens"):
        found, first = 0, ""
        for cell in cells:
            base, new = (side[column] for side in cell.columns([column]))
            differs = ((base != new) & base.notna() & new.notna()).to_numpy()
            if differs.any() and not found:
                at = int(differs.argmax())
                (keys,) = cell.columns(KEYS)[0].iloc[[at]].to_numpy()
                first = (
                    f"{cell.suite}, sample {keys[0]!r}, question {keys[1]!r} are "
                    f"{_short(base.iloc[at])} in BASE and {_short(new.iloc[at])} in NEW"
                )
            found += int(differs.sum())
        if found:
            also = " (or another tokenizer)" if column == "context_tokens" else ""
            raise UserError(
                f"BASE and NEW have different data{also}: {column} of {first} "
                f"({found:,} of {in_common:,} rows). Give both the same data and seed."
            )


def _short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _unpaired(
    name: str,
    own: Mapping[str, Kept],
    others: Mapping[str, Kept],
    of_both: Mapping[tuple[str, str], int],
) -> Iterator[str]:
    """Yield a line for each suite and backend of which the other run lacks some rows, or all."""
    whole: dict[str, list[str]] = {}
    for suite, rows in own.items():
        for backend in rows.backends:
            alone = len(rows.of(backend)) - of_both.get((suite, backend), 0)
            if not alone:
                continue
            if suite in others and backend in others[suite].backends:
                yield f"Only in {name}: {alone:,} rows of {suite}, {backend}."
            else:
                whole.setdefault(suite, []).append(f"{backend} ({alone:,} rows)")
    for suite, lacking in whole.items():
        all_of_it = "" if suite in others else " (all of the suite)"
        yield f"Only in {name}: {suite}{all_of_it}: {'; '.join(lacking)}."


def _of_memory(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        base, new = cell.columns(["memory_kind"])
        if not base.equals(new):
            yield "Memory was counted in different ways, so peaks are left out there."
            return


def _lost_metrics(cells: Sequence[Cell], old: Rows, now: Rows) -> Iterator[str]:
    """Yield a line if questions of both runs have scores that only one of them knows."""
    sides = (("BASE", old.metrics, now.metrics), ("NEW", now.metrics, old.metrics))
    for side, (name, own, others) in enumerate(sides):
        alone = [metric for metric in own if metric not in others]
        filled = (cell.columns(alone)[side].notna().any() for cell in cells if alone)
        lost = {metric for known in filled for metric in alone if known[metric]}
        if lost:
            yield f"Only {name} has the metrics {', '.join(m for m in alone if m in lost)}."
