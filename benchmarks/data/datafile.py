"""Read contexts from a person's own file: one JSON object per line, one line per context.

    {"id": "a", "context": "Ada lives in Rome.", "questions": [
        {"id": "1", "question": "Where does Ada live?", "answers": ["Rome"], "kind": "lookup"}]}

(on one line). `kind` may be left out; empty `answers` mean that the context holds no answer; a list
`support` may name the sentences that support the answers. Other fields are not read. The whole
file is checked before the first sample is yielded, and every error names its line.
"""

from pathlib import Path
from typing import Any

from benchmarks.data.formats.fields import answers, field, name_of, text, texts
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_objects
from benchmarks.scoring.answers import squad_scores
from harness.api import Question
from harness.errors import UserError


def read(path: Path) -> list[Entry]:
    """Return the contexts of a JSONL file with their questions, in its order.

    Raises:
        UserError: the file cannot be read or is empty, or a line is not as described.
    """
    entries: dict[str, Entry] = {}
    first: dict[str, str] = {}
    for where, row in read_objects(path):
        entry = _entry(where, row)
        if entry.id in entries:
            line = first[entry.id].rpartition(" ")[2]
            raise UserError(
                f"{where}: id {entry.id!r} was given in line {line} already. "
                "Give every context its own id."
            )
        entries[entry.id], first[entry.id] = entry, where
    return list(entries.values())


def _entry(where: str, row: dict[str, Any]) -> Entry:
    entry_id = text(where, row, "id")
    context = text(where, row, "context")
    listed = field(where, row, "questions", list)
    if not listed:
        raise UserError(f"{where}: 'questions' is empty. Give at least one question.")
    questions: dict[str, Question] = {}
    for index, item in enumerate(listed):
        here = f"{where}, question {index + 1}"
        if not isinstance(item, dict):
            raise UserError(f"{here}: is {name_of(item)}, not an object.")
        question = _question(here, item)
        if question.id in questions:
            raise UserError(f"{here}: id {question.id!r} is given twice in this line.")
        questions[question.id] = question
    return Entry(entry_id, (Paragraph(context),), tuple(questions.values()))


def _question(where: str, row: dict[str, Any]) -> Question:
    accepted = answers(where, row, "answers")
    kind = text(where, row, "kind") if "kind" in row else ""
    slices = {"kind": kind} if kind else {}
    support = texts(where, row, "support") if "support" in row else ()
    return Question(text(where, row, "id"), text(where, row, "question"), accepted, slices, support)


FORMAT = Format(
    title="your own contexts and questions",
    licence="yours",
    source="your own JSONL",
    read=read,
    metrics=("f1", "exact_match"),
    score=squad_scores,
    slice_names=("kind",),
)
