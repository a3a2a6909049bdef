"""Data sets of the Hugging Face hub, folders and single files, through the library `datasets`.

`data=hub:NAME` takes `NAME`, `NAME@REVISION` or `NAME:CONFIG@REVISION`; a folder or a file of
`FILES` is a name as well. Rows with the same context become one context with all its questions.
In `data=LAYOUT:hub:NAME` rows are read as those of a published layout.

CSV has no types: its cells are read as the texts that they are (`007` is no 7), and an empty one
or `NA` in the column of answers means that the context does not say.
"""

import json
import math
import re
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.data.formats import Entry, Format, Paragraph
from benchmarks.data.formats.fields import answers, field, name_of, text
from benchmarks.scoring.answers import squad_scores
from harness.api import Question
from harness.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

PREFIX = "hub"
NAMED = re.compile(rf"(\w+:)?{PREFIX}:")  # how `data` begins where it names one
FILES = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}  # how `datasets` calls their readers
_NO_ANSWER = frozenset("na n/a nan null none <na> #n/a".split())  # in a cell of a CSV; or nothing


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a row; a dot leads into a nested object, `answers.text`."""

    context: str = "context"
    question: str = "question"
    answers: str = "answers"


COLUMNS = Columns()


def read(name: str, split: str, columns: Columns) -> list[Entry]:
    """Return the contexts of one split with their questions, in its order.

    Raises:
        UserError: the data set cannot be loaded, or a column is missing or of a wrong type.
    """
    rows = _load(name, split)
    for column in (columns.context, columns.question, columns.answers):
        if column.partition(".")[0] not in rows.column_names:
            raise UserError(
                f"hub:{name} has no column {column!r}. Columns: {', '.join(rows.column_names)}. "
                "Name yours by context=, question= and answers=."
            )
    untyped = _is_csv(rows)
    asked: dict[str, list[Question]] = {}
    for number, row in enumerate(rows):
        where = f"hub:{name}, {split} row {number}"
        found = _flat(where, row, columns)
        question = Question(
            str(number),
            text(where, found, columns.question),
            _targets(where, found, columns.answers, untyped=untyped),
        )
        asked.setdefault(text(where, found, columns.context), []).append(question)
    if not asked:
        raise UserError(f"hub:{name} has no row in split={split}.")
    return [
        Entry(questions[0].id, (Paragraph(context),), tuple(questions))
        for context, questions in asked.items()
    ]


def read_as(layout: Format, name: str, split: str) -> Sequence[Entry]:
    """Return the contexts of a data set whose rows are those of a published layout.

    Raises:
        UserError: the data set cannot be loaded, or a row is not in the layout.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, default=str) + "\n" for row in _load(name, split))
        try:
            return layout.read(path)
        except UserError as error:
            raise UserError(str(error).replace(str(path), f"{PREFIX}:{name}, {split}")) from error


def _load(name: str, split: str) -> "Dataset":
    try:
        from datasets import Features, Value, load_dataset
        from datasets.exceptions import DatasetsError
        from datasets.utils.logging import disable_progress_bar
    except ImportError as missing:
        raise UserError("data=hub: needs the package datasets: pip install datasets") from missing
    disable_progress_bar()
    place, _, revision = name.partition("@")
    config = ""
    if not Path(place).expanduser().exists():
        place, _, config = place.partition(":")
    path = Path(place).expanduser()
    named: dict[str, Any] = {"split": split, "revision": revision or None}
    if path.is_file() and (reader := FILES.get(path.suffix.lower())):
        named |= {"path": reader, "data_files": {split: str(path)}}
        named |= {"sep": "\t"} if path.suffix.lower() == ".tsv" else {}
    else:
        named |= {"path": str(path), "name": config or None}
    if path.is_dir() or path.suffix.lower() == ".csv":
        named |= _separator(path)
    try:
        rows: Dataset = load_dataset(**named)
        if _is_csv(rows):  # again, now that the names of the columns are known, as texts
            texts = Features({column: Value("string") for column in rows.column_names})
            rows = load_dataset(**named, features=texts, keep_default_na=False)
    except (DatasetsError, OSError, ValueError) as error:
        # "An error occurred" is what it says of a file that is not in order; the cause knows more.
        reason = str(error.__cause__ or error).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"cannot load hub:{name} with split={split}: {reason or type(error).__name__}. "
            "Give a data set of the hub, or a folder or file of data, and one of its splits."
        ) from error
    return rows


def _separator(path: Path) -> dict[str, str]:
    """Return what separates the columns of a CSV on this machine, where it is no comma.

    A spreadsheet writes semicolons where commas stand in numbers.
    """
    files = sorted(path.glob("**/*.csv")) if path.is_dir() else [path]
    for file in files[:1]:
        with file.open(encoding="utf-8", errors="replace") as lines:
            header = lines.readline(10_000)
        if "," not in header:
            return next(({"sep": mark} for mark in "\t;|" if mark in header), {})
    return {}


def _is_csv(rows: "Dataset") -> bool:
    return str(rows.info.builder_name) == "csv"


def _flat(where: str, row: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """Return the three fields under the names that the user gave them."""
    found = {}
    for column in (columns.context, columns.question, columns.answers):
        value: Any = row
        for part in column.split("."):
            if not isinstance(value, dict):
                raise UserError(f"{where}: {column!r} leads into {name_of(value)}.")
            value = field(where, value, part, object)
        found[column] = value
    return found


def _targets(
    where: str, row: dict[str, Any], column: str, *, untyped: bool = False
) -> tuple[str, ...]:
    """Return the accepted answers: a text, a number, a list of them, or SQuAD's object with `text`.

    Nothing means that the context does not hold the answer; so does `NA` in a CSV.
    """
    given = row[column]
    if untyped and isinstance(given, str):
        given = _listed(given)
        if isinstance(given, str) and given.strip().lower() in _NO_ANSWER:
            return ()
    if isinstance(given, dict) and "text" in given:
        given = given["text"]
    if isinstance(given, dict):
        raise UserError(
            f"{where}: {column!r} is an object with {', '.join(given)}. "
            f"Name a part of it: answers={column}.{next(iter(given), 'text')}."
        )
    several = given if isinstance(given, list) else [given]
    accepted = [_as_text(where, column, one) for one in several]
    advice = "Leave the cell empty" if untyped else "Write []"
    return answers(where, {column: list(filter(None, accepted))}, column, advice=advice)


def _listed(cell: str) -> Any:
    """Return the list that a cell of a CSV writes down, as JSON or as Python, or the cell."""
    for read_list in (json.loads, literal_eval) if cell.strip()[:1] == "[" else ():
        try:
            found = read_list(cell.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return cell


def _as_text(where: str, column: str, value: object) -> str:
    """Return an answer as text; a number as it is written, 1815 where a table has 1815.0."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(
            f"{where}: {column!r} is {name_of(value)}; give a text, a number or a list of them."
        )
    return str(value) if str(value).strip() else ""


FORMAT = Format(
    title="data sets of the Hugging Face hub, and folders of JSON, CSV or Parquet",
    licence="see the page of the data set",
    source="https://huggingface.co/datasets",
    read=lambda path: read(str(path), "test", COLUMNS),
    metrics=("f1", "exact_match"),
    score=squad_scores,
)
