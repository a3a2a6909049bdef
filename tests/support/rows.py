"""Rows of a run for tests: made, written as the runner writes them, and read back."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from harness.report.sections import Section, sections_of
from harness.run.kept import Kept
from harness.run.metadata import RECORDS, RUN
from harness.run.records import FIXED, Cell, Records, Row, columns
from harness.run.rows import Rows, read_rows


def row(
    backend: str = "full", sample: object = 0, question: object = 0, **cells: Cell
) -> dict[str, Cell]:
    """Return a row of suite `qa`, with the cells that matter to a test."""
    return {
        "suite": "qa",
        "backend": backend,
        "model": "small",
        "sample_id": f"s{sample}",
        "question_id": f"q{question}",
        "max_new_tokens": 16,
        "contexts_held": 1,
        "batch_id": "0",
        "batch_size": 1,
        **cells,
    }


def scored(backend: str, scores: Iterable[Iterable[float]], **cells: Cell) -> list[dict[str, Cell]]:
    """Return the rows of one backend from the f1 of each context's questions."""
    return [
        row(backend, sample, question, **{"f1": f1, **cells})
        for sample, of_sample in enumerate(scores)
        for question, f1 in enumerate(of_sample)
    ]


def write_run(folder: Path, rows: Iterable[Row], run: Mapping[str, object] | None = None) -> Path:
    """Write rows, and what run.json says if anything; return the folder.

    Cells that no run has by itself are slices if they are texts, else metrics.
    """
    folder.mkdir(parents=True)
    known = [{name: cell for name, cell in row.items() if cell is not None} for row in rows]
    others = {name: cell for row in known for name, cell in row.items() if name not in FIXED}
    slices = [name for name, cell in others.items() if isinstance(cell, str)]
    records = Records(folder / RECORDS, columns(slices, others.keys() - set(slices)))
    records.append(known)
    records.close()
    if run is not None:
        (folder / RUN).write_text(json.dumps(run), encoding="utf-8")
    return folder


def sections(folder: Path) -> list[Section]:
    """Return the sections of the report on a run."""
    return sections_of(read_rows([folder]))


def frame_of(rows: Rows) -> pd.DataFrame:
    """Return all rows with all columns, in the order of the files."""
    groups = [group for part in rows.parts.values() for group in part.groups]
    groups.sort(key=lambda group: (group.constants["run"], group.place))
    everything = Kept(tuple(groups), next(iter(rows.parts.values())).texts)
    return everything[everything.names].sort_values(["run", "line"], ignore_index=True)
