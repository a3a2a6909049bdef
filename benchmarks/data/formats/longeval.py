"""LongEval lines: find the number that a named line holds among hundreds of lines.

One JSON object per line, with the whole `prompt`, the `expected_number` and the `correct_line`. The
record is the context, what follows it the question. As in the original, the last number of an
answer counts, whatever stands around it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.data.formats.fields import field, text
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_objects
from harness.api import Question
from harness.errors import UserError

_END = "\nNow the record is over. "
_NUMBER = re.compile(r"\d+")


def read(path: Path) -> list[Entry]:
    """Return one entry per line; its id is the number of the row."""
    rows = enumerate(read_objects(path))
    return [Entry(str(number), *_parts(where, row)) for number, (where, row) in rows]


def _parts(where: str, row: dict[str, Any]) -> tuple[tuple[Paragraph], tuple[Question]]:
    record, end, asked = text(where, row, "prompt").rpartition(_END)
    line = text(where, row, "correct_line").strip()
    if not end:
        raise UserError(
            f"{where}: 'prompt' has no {_END.strip()!r}. Is it a file of LongEval lines?"
        )
    if line not in record:
        raise UserError(f"{where}: 'correct_line' is not a line of 'prompt'. Was the prompt cut?")
    number = str(field(where, row, "expected_number", int))
    question = Question("q", asked.strip(), (number,), support=(line,))
    return (Paragraph(record.strip()),), (question,)


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return `accuracy`: whether the last number of the answer is the one asked for."""
    numbers = _NUMBER.findall(answer)
    right = bool(numbers) and numbers[-1].lstrip("0") == question.targets[0].lstrip("0")
    return {"accuracy": float(right)}


FORMAT = Format(
    title="LongEval lines: the number in one of hundreds of lines",
    licence="Apache-2.0",
    source="https://github.com/DachengLi1/LongChat",
    read=read,
    metrics=("accuracy",),
    score=score,
    max_new_tokens=100,
)
