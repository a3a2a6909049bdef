"""The log and the curve of held-out scores: CSV files that a resumed training takes up."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerState

from gist.training.heldout import BASELINES, WAYS
from harness.errors import reading

LOG, CURVE = "log.csv", "heldout.csv"
LOG_FIELDS = (
    *("step", "stage", "loss", "learning_rate"),
    *("grad_norm", "rows_grad_norm", "right", "seconds"),
)
CURVE_FIELDS = (
    *("step", "gist", "swapped", "closed_book_on", "full", "closed_book", "full_on"),
    *(f"{way}_nats" for way in (*WAYS, *BASELINES)),
    "gap_recovered",
)
LOST = "Remove it, and what was logged so far is lost."


def rows_until(path: Path, state: TrainerState, names: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV up to the step reached; the file loses the others."""
    if not path.is_file():
        return []
    # A killed training may leave a torn last row, whose last number can look like a whole one.
    text = path.read_bytes().decode(errors="replace")
    with reading(path, advice=LOST):
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        if list(reader.fieldnames or names) != list(names):
            raise ValueError(f"its columns are not {', '.join(names)}")
        whole = [row for row in reader if None not in (*row, *row.values())]
        rows = [row for row in whole if float(row["step"]) <= state.global_step]
    if state.is_world_process_zero:
        partial = path.with_suffix(".tmp")
        partial.unlink(missing_ok=True)
        for row in rows:
            append(partial, names, row)
        partial.replace(path) if rows else path.unlink()
    return rows


def curve_until(path: Path, state: TrainerState) -> list[dict[str, float | None]]:
    """Return the scores of held-out contexts up to the step reached, as `rows_until` does."""
    rows = rows_until(path, state, CURVE_FIELDS)
    with reading(path, advice=LOST):
        return [{name: float(cell) if cell else None for name, cell in row.items()} for row in rows]


def append(path: Path, names: Sequence[str], row: Mapping[str, Any]) -> None:
    """Add a row to a CSV, under a header if it is the first."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, names)
        if new:
            writer.writeheader()
        writer.writerow(row)
