"""Data sets of the Hugging Face hub, and folders of data files, through the library `datasets`.

`data=hub:NAME` takes `NAME`, `NAME@REVISION` or `NAME:CONFIG@REVISION`; a folder is a name as well.
Rows with the same context become one context with all its questions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.data.formats import Entry, Format, Paragraph
from benchmarks.data.formats.fields import answers, field, name_of, text
from benchmarks.scoring.answers import squad_scores
from harness.api import Question
from harness.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

PREFIX = "hub"


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
    asked: dict[str, list[Question]] = {}
    for number, row in enumerate(rows):
        where = f"hub:{name}, {split} row {number}"
        found = _flat(where, row, columns)
        question = Question(
            str(number),
            text(where, found, columns.question),
            _targets(where, found, columns.answers),
        )
        asked.setdefault(text(where, found, columns.context), []).append(question)
    if not asked:
        raise UserError(f"hub:{name} has no row in split={split}.")
    return [
        Entry(questions[0].id, (Paragraph(context),), tuple(questions))
        for context, questions in asked.items()
    ]


def _load(name: str, split: str) -> "Dataset":
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
        from datasets.utils.logging import disable_progress_bar
    except ImportError as missing:
        raise UserError("data=hub: needs the package datasets: pip install datasets") from missing
    disable_progress_bar()
    place, _, revision = name.partition("@")
    config = ""
    if not Path(place).expanduser().exists():
        place, _, config = place.partition(":")
    try:
        rows: Dataset = load_dataset(
            str(Path(place).expanduser()), config or None, split=split, revision=revision or None
        )
    except (DatasetsError, OSError, ValueError) as error:
        # "An error occurred" is what it says of a file that is not in order; the cause knows more.
        reason = str(error.__cause__ or error).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"cannot load hub:{name} with split={split}: {reason or type(error).__name__}. "
            "Give a data set of the hub or a folder of data files, and one of its splits."
        ) from error
    return rows


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


def _targets(where: str, row: dict[str, Any], column: str) -> tuple[str, ...]:
    """Return the accepted answers: a text, a list of texts, or SQuAD's object with `text`."""
    given = row[column]
    if isinstance(given, dict) and "text" in given:
        given = given["text"]
    if isinstance(given, dict):
        raise UserError(
            f"{where}: {column!r} is an object with {', '.join(given)}. "
            f"Name a part of it: answers={column}.{next(iter(given), 'text')}."
        )
    given = [given] if isinstance(given, str) else given
    return answers(where, {column: given}, column)


FORMAT = Format(
    title="data sets of the Hugging Face hub, and folders of JSON, CSV or Parquet",
    licence="see the page of the data set",
    source="https://huggingface.co/datasets",
    read=lambda path: read(str(path), "test", COLUMNS),
    metrics=("f1", "exact_match"),
    score=squad_scores,
)
