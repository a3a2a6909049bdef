"""SQuAD 1.1 (arXiv 1606.05250): questions about paragraphs of Wikipedia, answered by a span.

The official layout is one JSON text: `data` holds articles, these hold `paragraphs`, and these a
`context` with its `qas`. SQuAD 2.0 has the same layout; see `squad_v2`. The sentences around the
span that the first annotator marked are taken to support the answer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.data.formats.fields import answers, name_of, objects, text
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_json
from benchmarks.scoring.answers import official_scores
from harness.api import Question
from harness.errors import UserError
from harness.text import Span, split_sentences


def read(path: Path) -> list[Entry]:
    """Return one entry per paragraph; every question must have an answer."""
    entries = read_articles(path)
    for entry in entries:
        for question in entry.questions:
            if not question.targets:
                raise UserError(
                    f"{path}, {entry.id}: question {question.id!r} has no answer. "
                    "Is it SQuAD 2.0? Then give squad_v2:FILE."
                )
    return entries


def read_articles(path: Path) -> list[Entry]:
    """Return one entry per paragraph; a question may have no answer."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: is {name_of(content)}, not an object with 'data'. Is it SQuAD?")
    entries: list[Entry] = []
    for in_article, article in objects(str(path), content, "data"):
        title = text(in_article, article, "title")
        for number, (where, row) in enumerate(objects(in_article, article, "paragraphs")):
            context = text(where, row, "context")
            if questions := _questions(where, row, context):
                paragraph = Paragraph(context, title)
                entries.append(Entry(f"{title}.{number}", (paragraph,), questions))
    if not entries:
        raise UserError(f"{path} holds no question. Give a file of SQuAD.")
    return entries


def _questions(where: str, row: dict[str, Any], context: str) -> tuple[Question, ...]:
    sentences = split_sentences(context)
    return tuple(
        Question(
            text(here, qa, "id"),
            text(here, qa, "question"),
            _targets(here, qa),
            support=_support(qa, context, sentences),
        )
        for here, qa in objects(where, row, "qas")
    )


def _support(qa: dict[str, Any], context: str, sentences: Sequence[Span]) -> tuple[str, ...]:
    """Return the sentences that hold the first span; none where the file does not say its place."""
    marked: dict[str, Any] = next(iter(qa["answers"]), {})
    start = marked.get("answer_start")
    if not isinstance(start, int) or start < 0 or not context.startswith(marked["text"], start):
        return ()
    end = start + len(marked["text"])
    return tuple(context[s.start : s.end] for s in sentences if s.start < end and start < s.end)


def _targets(where: str, qa: dict[str, Any]) -> tuple[str, ...]:
    spans = [text(here, answer, "text") for here, answer in objects(where, qa, "answers")]
    return answers(where, {"answers": list(dict.fromkeys(spans))}, "answers")


FORMAT = Format(
    title="SQuAD 1.1: questions about paragraphs of Wikipedia",
    licence="CC BY-SA 4.0",
    source="https://rajpurkar.github.io/SQuAD-explorer/",
    read=read,
    metrics=("f1", "exact_match"),
    score=official_scores,
    fills=True,
)
