"""The questions and passages of some rows: the bulk of a file, read again for those alone."""

import csv
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.run.controls import present_name
from harness.run.metadata import RECORDS
from harness.run.records import ESCAPED_FORMULA, WHO, cells_up_to, unescaped

Key = tuple[str, str, str]  # suite, sample, question


@dataclass(frozen=True, slots=True)
class Texts:
    """The long texts of a row."""

    key: Key
    backend: str
    question: str  # empty: an earlier version did not write it
    evidence: str  # a JSON list, or empty


def read_texts(folder: Path, wanted: Collection[Key]) -> Iterator[Texts]:
    """Yield the texts of a run's rows about the wanted questions.

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
        header = next(lines)
        places = [header.index(name) for name in WHO]
        for cells in lines:
            if len(cells) != len(header):
                continue
            suite, backend, _, sample, question = (_name(cells[place]) for place in places)
            if (key := (suite, sample, question)) in wanted:
                row = dict(zip(header, cells, strict=True))
                asked = unescaped(row.get("question", ""))
                yield Texts(key, present_name(backend), asked, row.get("evidence", ""))


def _name(cell: str) -> str:
    return ESCAPED_FORMULA.sub(r"\1", cell) if cell[:1] == "\\" else cell
