"""The rows of a records.csv, checked piece by piece: a file of any size takes the same memory.

Text columns stay text ("None" and "NA" are names like any other); number columns become floats,
with NaN for an empty cell. What no run writes is refused with its line.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

import numpy as np
import pandas as pd

from harness.api import Metric
from harness.errors import UserError
from harness.run import plugins
from harness.run.controls import present_name
from harness.run.metadata import RECORDS
from harness.run.records import COSTS, ESCAPED_FORMULA, MISTAKEN, WHO, WORDS, cells_up_to

T = TypeVar("T")
BLOCK = 2**20  # letters
PIECE = 50_000  # rows that are in memory at once
LARGEST = float(np.finfo(np.float64).max)
LATER = (  # columns that runs of earlier versions lack
    "cut",
    "answer_words",
    "thought_words",
    "prepare_waited_s",
    "generate_waited_s",
    "first_token_s",
    "baseline_bytes",
    "prepare_reserved_bytes",
    "generate_reserved_bytes",
    "question",
)
OF_ANSWERS = (  # filled where there is an answer, as the metrics are
    "evidence_recall",
    "new_tokens",
    "cut",
    "answer_words",
    "thought_words",
)
ANSWERS = frozenset({"answer", "targets"})  # the bulk of a file, and in no table
TEXTS = frozenset({*WHO, "batch_id", "memory_kind", "error", "notice"})
COUNTED = ("contexts_held", "batch_size")  # at least one of each
UNREAD = frozenset({"question", "evidence"})  # more than all the rest


@dataclass(frozen=True, slots=True)
class Header:
    """What the columns of a file are."""

    names: tuple[str, ...]  # those that are read
    slices: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def texts(self) -> frozenset[str]:
        """The columns of text; all others are numbers."""
        return (TEXTS | ANSWERS | frozenset(self.slices)) & frozenset(self.names)


def read_header(file: Path, unread: Collection[str]) -> Header:
    """Return what the columns of a file are, but for those that are not to be read.

    Raises:
        UserError: it is no records.csv of this tool.
    """
    with file.open(encoding="utf-8") as lines, cells_up_to(file.stat().st_size):
        first = _of_text(file, lines.readline)
        if not first.strip() and not _of_text(file, lambda: any(map(str.strip, lines))):
            raise UserError(f"{file} is empty. Run gist-bench run first, or give another path.")
        header = next(csv.reader([first.removesuffix("\n")]), [])
    slices, metrics = sorts_of_columns(file, header)
    kept = tuple(name for name in header if name not in unread)
    return Header(kept, tuple(slices), tuple(metrics))


def read_pieces(file: Path, columns: Header) -> Iterator[pd.DataFrame]:
    """Yield the rows of a file in pieces, indexed by their number.

    Raises:
        UserError: it is damaged, or has no rows.
    """
    rows = 0
    with file.open(encoding="utf-8") as lines:
        pieces = pd.read_csv(
            _WholeLines(lines),
            dtype=str,
            keep_default_na=False,
            usecols=list(columns.names),
            chunksize=PIECE,
        )
        while True:
            try:
                piece = _of_text(file, pieces.__next__)
            except StopIteration:
                break
            except pd.errors.ParserError as error:
                reason = str(error).strip().splitlines()[-1]
                raise UserError(f"{file} is no {RECORDS} of gist-bench: {reason}.") from error
            rows += len(piece)
            if len(piece):
                yield _checked(file, piece, columns)
    if not rows:
        raise UserError(f"{file} has no rows. Run gist-bench run first, or give another path.")


def _checked(file: Path, frame: pd.DataFrame, columns: Header) -> pd.DataFrame:
    """Return rows with numbers as numbers, and names as they are now."""
    for column in columns.texts - ANSWERS:
        names = frame[column].fillna("")
        found = {name: ESCAPED_FORMULA.sub(r"\1", name) for name in names.unique()}
        if column == "backend":
            found = {name: present_name(text) for name, text in found.items()}
        if column in WHO and column != "model" and "" in found:
            line = names.index[np.flatnonzero(names == "")[0]] + 2
            raise UserError(f"{file} line {line}: column {column!r} is empty. {MISTAKEN}")
        changed = any(name != text for name, text in found.items())
        frame[column] = names.map(found).astype("str") if changed else names
    for column in frame.columns.difference(list(columns.texts), sort=False):
        frame[column] = _numbers(file, frame[column])
    _refuse_impossible(file, frame, columns.metrics)
    return frame


def _refuse_impossible(file: Path, frame: pd.DataFrame, metrics: Sequence[str]) -> None:
    """Refuse figures that no run writes: metrics beyond their range, rows at odds with themselves.

    A metric is between 0 and 1 if its definition says so; one without definition is finite.
    """
    share = Metric("", "").unit
    shares = {metric.name for metric in plugins.metrics() if metric.unit == share}
    for name in (name for name in COSTS if name in frame and name not in {"cut", *TEXTS}):
        least = 1 if name in COUNTED else 0
        _refuse(file, ~frame[name].between(least, LARGEST), frame, name, "is impossible")
    if "cut" in frame:
        _refuse(file, ~frame["cut"].isin((0, 1)), frame, "cut", "is neither 0 nor 1")
    for name in (*metrics, "evidence_recall"):
        low, high = (0, 1) if name in shares | {"evidence_recall"} else (-LARGEST, LARGEST)
        why = "is no metric from 0 to 1" if high == 1 else "is no finite number"
        _refuse(file, ~frame[name].between(low, high), frame, name, why)
    for name, wrong, why in _contradictions(frame, metrics):
        _refuse(file, wrong, frame, name, why)


def _contradictions(
    frame: pd.DataFrame, metrics: Sequence[str]
) -> Iterator[tuple[str, "pd.Series[bool]", str]]:
    """Yield a column, where it is at odds with another one of its row, and why."""
    failed = frame["error"] != ""
    for name in (*metrics, *OF_ANSWERS):
        if name in frame:
            yield name, failed, "stands beside an error: there is no answer to it"
    if {"abstained", "hallucinated"} <= set(metrics):
        apart = (frame["abstained"] + frame["hallucinated"] - 1).abs() > 1e-6
        yield "hallucinated", apart, "is not 1 - abstained"
    if {"abstained", "false_refusal"} <= set(metrics):
        both = frame["abstained"].notna()
        yield "false_refusal", both, "stands beside abstained, and no question has both"
    beyond = frame["context_entries"] > frame["prompt_tokens"]
    yield "context_entries", beyond, "is more than prompt_tokens, of which they are a part"
    # What a server counts is its own affair.
    over = (frame["new_tokens"] > frame["max_new_tokens"]) & frame["held_bytes"].notna()
    yield "new_tokens", over, "is more than max_new_tokens"
    if "cut" in frame:
        before = (frame["new_tokens"] < frame["max_new_tokens"]) & frame["held_bytes"].notna()
        yield "cut", (frame["cut"] == 1) & before, "stands beside fewer new_tokens than allowed"


def _refuse(
    file: Path, wrong: "pd.Series[bool]", frame: pd.DataFrame, column: str, why: str
) -> None:
    """Refuse the first row that has a figure in `column` and is wrong."""
    places = np.flatnonzero(wrong & frame[column].notna())
    if len(places):
        value, line = frame[column].iloc[places[0]], frame.index[places[0]] + 2
        raise UserError(f"{file} line {line}: {value:g} in column {column!r} {why}. {MISTAKEN}")


def sorts_of_columns(file: Path, header: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the slice columns and the metric columns; their places tell them apart."""
    needed = (name for name in (*WHO, *COSTS, *WORDS) if name not in LATER)
    missing = [name for name in needed if name not in header]
    if missing:
        shown = ", ".join(missing[:4]) + (" and more" if len(missing) > 4 else "")
        raise UserError(
            f"{file} is no {RECORDS} of gist-bench: it lacks the columns {shown}. "
            "Give a run folder or its records.csv."
        )
    slices = header[header.index(WHO[-1]) + 1 : header.index(COSTS[0])]
    metrics = header[header.index(COSTS[-1]) + 1 : header.index(WORDS[0])]
    return list(slices), list(metrics)


def _numbers(file: Path, column: "pd.Series[str]") -> "pd.Series[float]":
    """Return a column of numbers; an empty cell is NaN, never 0."""
    numbers = pd.to_numeric(column.where(column != ""), errors="coerce").astype(float)
    wrong = np.flatnonzero(numbers.isna() & column.notna() & (column != ""))
    if len(wrong):
        value, line = column.iloc[wrong[0]], column.index[wrong[0]] + 2
        raise UserError(
            f"{file} line {line}: {value!r} in column {column.name!r} is no number. {MISTAKEN}"
        )
    return numbers


def _of_text(file: Path, read: Callable[[], T]) -> T:
    """Return what `read` reads of a file, which must be text."""
    try:
        return read()
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text. Give a {RECORDS} of gist-bench.") from error


class _WholeLines(io.TextIOBase):
    """A text without what stands behind its last line end.

    A run that is being written, or was killed, may end within a row: one row is one line.
    """

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._lines, self._torn = "", ""  # to be handed out, and not yet whole

    def read(self, size: int | None = -1) -> str:
        """Return so many letters or fewer; none at the end."""
        assert size is not None
        assert size > 0, "a file is read in blocks"
        while not self._lines and (block := self._text.read(BLOCK)):
            lines, end, torn = block.rpartition("\n")
            if end:
                self._lines, self._torn = self._torn + lines + end, torn
            else:
                self._torn += torn
        found, self._lines = self._lines[:size], self._lines[size:]
        return found
