"""Read samples from a person's own file: one JSON object per line, one line per context.

    {"id": "a", "context": "Ada lives in Rome.", "questions": [
        {"id": "1", "question": "Where does Ada live?", "answers": ["Rome"], "kind": "lookup"}]}

(on one line). `kind` may be left out; empty `answers` mean that the context holds no answer. The
whole file is checked before the first sample is given out, and every error names its line.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.formats import Entry, Format, Paragraph
from benchmarks.formats._lines import read_lines
from benchmarks.scoring import exact_match, f1, normalize
from harness.api import Question
from harness.errors import UserError

_TYPES: dict[type, str] = {str: "text", list: "a list", dict: "an object"}


def read(path: Path) -> list[Entry]:
    """Return the contexts of a JSONL file with their questions, in its order.

    Raises:
        UserError: the file cannot be read or is empty, or a line is not as described.
    """
    entries: list[Entry] = []
    seen: dict[str, int] = {}
    for number, line in read_lines(path):
        where = f"{path} line {number}"
        entry = _entry(where, _parse(where, line))
        if entry.id in seen:
            raise UserError(
                f"{where}: id {entry.id!r} was given in line {seen[entry.id]} already. "
                "Give every context its own id."
            )
        seen[entry.id] = number
        entries.append(entry)
    if not entries:
        raise UserError(f"{path} is empty. Give one JSON object per line, one per context.")
    return entries


def _parse(where: str, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where}: not JSON: {error.msg} at character {error.pos + 1}. "
            "Write one JSON object per line."
        ) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; 100,000 brackets
        raise UserError(f"{where}: not JSON that can be read: {error}.") from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: is {_name(row)}, not an object. Write {{...}} on each line.")
    return row


def _entry(where: str, row: dict[str, Any]) -> Entry:
    entry_id = _text(where, row, "id")
    context = _text(where, row, "context")
    listed = _field(where, row, "questions", list)
    if not listed:
        raise UserError(f"{where}: 'questions' is empty. Give at least one question.")
    questions: dict[str, Question] = {}
    for index, entry in enumerate(listed):
        here = f"{where}, question {index + 1}"
        if not isinstance(entry, dict):
            raise UserError(f"{here}: is {_name(entry)}, not an object.")
        question = _question(here, entry)
        if question.id in questions:
            raise UserError(f"{here}: id {question.id!r} is given twice in this line.")
        questions[question.id] = question
    return Entry(entry_id, (Paragraph(context),), tuple(questions.values()))


def _question(where: str, row: dict[str, Any]) -> Question:
    answers = _field(where, row, "answers", list)
    for answer in answers:
        if not isinstance(answer, str):
            raise UserError(f"{where}: 'answers' holds {_name(answer)}; give texts.")
        _check_encodable(where, "answers", answer)
    if answers and not any(normalize(answer) for answer in answers):
        raise UserError(
            f"{where}: 'answers' hold no letter or digit to compare: {answers}. "
            "Write [] if the context does not hold the answer."
        )
    kind = _text(where, row, "kind") if "kind" in row else ""
    slices = {"kind": kind} if kind else {}
    return Question(_text(where, row, "id"), _text(where, row, "question"), tuple(answers), slices)


def _text(where: str, row: dict[str, Any], name: str) -> str:
    value: str = _field(where, row, name, str)
    if not value.strip():
        raise UserError(f"{where}: {name!r} is blank.")
    _check_encodable(where, name, value)
    return value


def _field(where: str, row: dict[str, Any], name: str, kind: type) -> Any:
    if name not in row:
        given = ", ".join(row) or "nothing"
        raise UserError(f"{where}: {name!r} is missing. Given: {given}.")
    if not isinstance(row[name], kind):
        raise UserError(f"{where}: {name!r} is {_name(row[name])}; give {_TYPES[kind]}.")
    return row[name]


def _check_encodable(where: str, name: str, text: str) -> None:
    """Refuse half of a surrogate pair: JSON can write it, but no tokenizer or file can."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{where}: {name!r} holds half a character at position {error.start + 1}. Remove it."
        ) from error


def _name(value: object) -> str:
    """Return what a JSON value is, in a person's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    return _TYPES.get(type(value), "a number")


FORMAT = Format(
    title="your own contexts and questions",
    licence="yours",
    source="your own JSONL",
    read=read,
    metrics={"f1": f1, "exact_match": exact_match},
    slice_names=("kind",),
)
