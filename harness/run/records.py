"""The records: one CSV line per question, written a sample at a time.

A sample's lines go out in one write that is synced to the disk, so that a run can be killed at any
moment: `recover` drops a torn last line, and every line of a sample that has fewer lines than
questions. An empty cell means "not known". Line breaks and tabs in texts are escaped: one row is
one line. So is a sign at the start of a text that makes it a formula in a spreadsheet. Nothing
that is computed from rows is stored.
"""

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.api import Question
from harness.errors import UserError, reading
from harness.files import append, open_to_append, write_atomically

Cell = str | int | float | tuple[str, ...] | None
Row = Mapping[str, Cell]

WHO = ("suite", "backend", "model", "sample_id", "question_id")
COSTS = (
    "context_tokens",
    "context_entries",  # KV entries that stand for the context when the question is answered
    "prompt_tokens",
    "new_tokens",
    "cut",  # 1: max_new_tokens came before an end token
    "answer_words",  # of the text that was scored
    "thought_words",  # in front of the answer, not scored; the cell `answer` has them
    "max_new_tokens",
    "contexts_held",
    "batch_id",
    "batch_size",
    "prepare_s",  # the same in all rows of a sample
    "generate_s",  # the same in all rows of a batch
    "prepare_waited_s",  # of them, ready to run while other work had the processor
    "generate_waited_s",
    "first_token_s",  # of a streamed request: from sending it to the first token
    "baseline_bytes",  # in use when the sample's prepare phase began
    "prepare_peak_bytes",
    "prepare_reserved_bytes",
    "generate_peak_bytes",
    "generate_reserved_bytes",
    "held_bytes",
    "memory_kind",
)
WORDS = ("evidence_recall", "question", "answer", "targets", "evidence", "error", "notice")
FIXED = frozenset(WHO + COSTS + WORDS)
LISTS = ("targets", "evidence")  # as JSON
MISTAKEN = "The file was edited or is damaged."

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"})
# What begins a formula in a spreadsheet, also in full width.
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
ESCAPED_FORMULA = re.compile(rf"^\\([{re.escape(_FORMULA)}])")
_ESCAPE = re.compile(r"\\(.)")
_BREAKS = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


@dataclass(frozen=True, slots=True)
class Key:
    """Identifies a sample's rows within a run."""

    suite: str
    backend: str
    sample_id: str


def listed_cell(row: Mapping[str, str], column: str) -> tuple[str, ...]:
    """Return the texts of a cell that is a JSON list; an empty one has none.

    Raises:
        UserError: it is something else, with the question that it stands at.
    """
    try:
        found = json.loads(row[column] or "[]")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise UserError(
            f"{column} of question {row['question_id']!r}, sample {row['sample_id']!r}, is no JSON "
            f"list. {MISTAKEN}"
        )
    return tuple(map(str, found))


def columns(slice_names: Iterable[str], metrics: Iterable[str]) -> tuple[str, ...]:
    """Return the header of a run whose suites have these slices and metrics."""
    return (*WHO, *sorted(set(slice_names)), *COSTS, *sorted(set(metrics)), *WORDS)


def cell(value: Cell) -> str:
    """Return a value as it is written to the CSV; several texts become a JSON list."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    text = str(value).translate(_ESCAPES)
    return f"\\{text}" if text[:1] in _FORMULA and text else text


def unescaped(text: str) -> str:
    """Return a text as it was before `cell` wrote it, in this version or an earlier one."""
    return _ESCAPE.sub(lambda found: _BREAKS.get(found[1], found[1]), text)


def each_row(file: Path) -> Iterator[dict[str, str]]:
    """Yield the whole rows as texts, one at a time; lists stay JSON, all else is not escaped.

    Raises:
        UserError: there is no such file, or a row has too few or too many cells.
    """
    with reading(file, advice="Give one run folder."):
        opened = file.open(encoding="utf-8", newline="")
    with opened as text, cells_up_to(file.stat().st_size):
        lines = csv.reader(line for line in text if line.endswith("\n"))  # the last may be torn
        header = next(lines)
        for line in lines:
            if len(line) != len(header):
                raise UserError(f"{file} has rows with another number of cells. {MISTAKEN}")
            yield _cells(header, line)


def _cells(header: Sequence[str], line: Sequence[str]) -> dict[str, str]:
    pairs = zip(header, line, strict=True)
    return {name: text if name in LISTS else unescaped(text) for name, text in pairs}


@contextmanager
def cells_up_to(characters: int) -> Iterator[None]:
    """Let the csv module read long cells: its own limit is shorter than a long document."""
    limit = csv.field_size_limit(max(characters, csv.field_size_limit()))
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def evidence_recall(question: Question, evidence: Sequence[str]) -> float | None:
    """Return the share of the question's support that the passages hold; None if unknown."""
    if not (question.support and evidence):
        return None
    passages = [" ".join(passage.split()) for passage in evidence]
    found = [
        any(" ".join(sentence.split()) in text for text in passages)
        for sentence in question.support
    ]
    return sum(found) / len(found)


class Records:
    """An open `records.csv` that rows are added to."""

    def __init__(self, path: Path, header: tuple[str, ...]) -> None:
        self._header = header
        first, last = header.index(COSTS[0]), header.index(WORDS[0])
        self._numbers = {*header[first : last + 1]} - {"batch_id", "memory_kind"}
        self._file = open_to_append(path)
        if not os.fstat(self._file).st_size:
            append(self._file, _encode([header]))

    def append(self, rows: Sequence[Row]) -> None:
        """Add the rows of one sample and wait until they are on the disk."""
        for row in rows:
            unknown = set(row) - set(self._header)
            assert not unknown, f"no such columns: {unknown}"
        cells = [[self._cell(name, row.get(name)) for name in self._header] for row in rows]
        append(self._file, _encode(cells))

    def _cell(self, column: str, value: Cell) -> str:
        # A number that was read as text from another run is still a number: -0.5 is no formula.
        return value if column in self._numbers and isinstance(value, str) else cell(value)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def recover(path: Path, header: tuple[str, ...], questions: Mapping[Key, int]) -> dict[Key, str]:
    """Drop the rows of unfinished samples, sort the others, and return the finished samples.

    Args:
        path: the records; need not exist.
        header: the columns that the run writes.
        questions: how many rows every sample has when it is finished, in the order of the rows.

    Returns:
        The finished samples, each with its `error` cell.
    """
    if not path.exists():
        return {}
    *lines, torn = path.read_bytes().split(b"\n")
    head = _encode([header])
    if lines and lines[0] + b"\n" != head:
        raise UserError(f"{path} was changed by another program. Start over with --restart.")
    rows = [_read(line, header) for line in lines[1:]]
    names = [_name(row) if row else None for row in rows]
    counts = Counter(names)
    whole = {_texts(key): key for key, n in questions.items() if counts[_texts(key)] == n}
    place = {name: number for number, name in enumerate(whole)}
    order = sorted((place[name], line) for line, name in enumerate(names, 1) if name in place)
    kept = [lines[line] for _, line in order]
    if torn or kept != lines[1:]:
        write_atomically(path, head + b"".join(line + b"\n" for line in kept))
    return {
        whole[name]: row["error"]
        for row, name in zip(rows, names, strict=True)
        if row and name in whole
    }


def _read(line: bytes, header: Sequence[str]) -> dict[str, str] | None:
    """Return the cells of a line, still escaped; None if it is not a whole row."""
    try:
        with cells_up_to(len(line)):
            cells = next(csv.reader([line.decode()], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        return None
    return dict(zip(header, cells, strict=True)) if len(cells) == len(header) else None


def _encode(lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    # A lone surrogate has no UTF-8, and a user's file can hold one (JSON can write it).
    return text.getvalue().encode("utf-8", errors="backslashreplace")


def _texts(key: Key) -> tuple[str, ...]:
    """Return what names a sample as it reads back from a file."""
    return tuple(unescaped(cell(text)) for text in (key.suite, key.backend, key.sample_id))


def _name(row: Mapping[str, str]) -> tuple[str, ...]:
    # Not escaped: rows of earlier versions have fewer escapes.
    return tuple(unescaped(row[column]) for column in ("suite", "backend", "sample_id"))
