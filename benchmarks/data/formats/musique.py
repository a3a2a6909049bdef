"""MuSiQue (arXiv 2108.00573): questions of two to four hops over twenty paragraphs.

One JSON object per line, as published: `paragraphs`, `question`, `answer` with `answer_aliases`.
In the full set each question stands twice, once without the paragraphs that prove it: there
`answerable` is false, and the right answer is that the text does not say.
"""

from pathlib import Path
from typing import Any

from benchmarks.data.formats.fields import answers, objects, text
from benchmarks.data.formats.format import Entry, Format, distinct
from benchmarks.data.formats.lines import read_objects
from benchmarks.data.formats.nq import titled
from benchmarks.scoring.answers import squad_scores
from harness.api import Question
from harness.errors import UserError


def read(path: Path) -> list[Entry]:
    """Return one entry per line; the second of a pair has `.unanswerable` behind its id."""
    return distinct((where, _entry(where, row)) for where, row in read_objects(path))


def _entry(where: str, row: dict[str, Any]) -> Entry:
    answerable = row.get("answerable") is not False
    name = text(where, row, "id") + ("" if answerable else ".unanswerable")
    pages = objects(where, row, "paragraphs")
    given = [row.get("answer"), *(row.get("answer_aliases") or ())] if answerable else []
    targets = answers(where, {"answer": list(dict.fromkeys(given))}, "answer")
    if answerable and not targets:
        raise UserError(f"{where}: 'answer' is missing. The test set cannot be scored.")
    question = Question(
        "q",
        text(where, row, "question"),
        targets,
        {"hops": name.partition("hop")[0]},
        tuple(text(at, one, "paragraph_text") for at, one in pages if one.get("is_supporting")),
    )
    paragraphs = tuple(
        titled(text(at, one, "title"), text(at, one, "paragraph_text")) for at, one in pages
    )
    return Entry(name, paragraphs, (question,))


FORMAT = Format(
    title="MuSiQue: questions of two to four hops over twenty paragraphs",
    licence="CC BY 4.0",
    source="https://github.com/StonyBrookNLP/musique",
    read=read,
    metrics=("f1", "exact_match"),
    score=squad_scores,
    slice_names=("hops",),
)
