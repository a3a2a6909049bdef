"""The questions and passages of some rows: the bulk of a file, read again for those alone."""

import csv
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.run.controls import present_name
from harness.run.metadata import RECORDS
from harness.run.parsing import IDENTITY
from harness.run.records import ESCAPED_FORMULA, cells_up_to, unescaped

NAMES = ("suite", "backend", "sample_id", "question_id")


@dataclass(frozen=True, slots=True)
class Texts:
    """The long texts of a row."""

    suite: str
    backend: str
    sample_id: str
    question_id: str
    question: str  # empty: an earlier version did not write it
    evidence: str  # a JSON list, or empty


def read_texts(folder: Path, wanted: Collection[tuple[str, str, str]]) -> Iterator[Texts]:
    """Yield the texts of a run's rows about the wanted (suite, sample, question).

    Names are as in the frame of `harness.run.rows`; a torn last line is left out.
    """
    file = folder / RECORDS
    if not (wanted and file.is_file()):
        return
    with (
        cells_up_to(file.stat().st_size),
        file.open(encoding="utf-8", newline="") as text,
        suppress(csv.Error),
    ):
        lines = csv.reader(text)
        header = next(lines, [])
        if not set(IDENTITY) <= set(header):
            return
        suite, backend, sample, question = (header.index(name) for name in NAMES)
        asked, shown = (
            header.index(name) if name in header else None for name in ("question", "evidence")
        )
        for cells in lines:
            if len(cells) != len(header):
                continue
            key = (_name(cells[suite]), _name(cells[sample]), _name(cells[question]))
            if key in wanted:
                yield Texts(
                    key[0],
                    present_name(_name(cells[backend])),
                    *key[1:],
                    question=unescaped(cells[asked]) if asked is not None else "",
                    evidence=cells[shown] if shown is not None else "",
                )


def _name(cell: str) -> str:
    return ESCAPED_FORMULA.sub(r"\1", cell) if cell[:1] == "\\" else cell
