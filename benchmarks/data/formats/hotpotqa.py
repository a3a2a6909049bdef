"""HotpotQA (arXiv 1809.09600): questions that need two of ten paragraphs.

Read in three layouts: the official file (a JSON list, `context` as pairs of title and sentences),
the hub's (the same as columns, `context.title` and `context.sentences`), both also one object per
line, and the subsets of IRCoT (arXiv 2212.10509; `question_text`, `contexts`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data.formats.fields import answers, field, name_of, objects, text, texts
from benchmarks.data.formats.format import Entry, Format, distinct
from benchmarks.data.formats.lines import read_rows
from benchmarks.data.formats.nq import titled
from benchmarks.scoring.answers import exact_match, f1
from harness.api import Question
from harness.errors import UserError
from harness.text import normalize

_CLOSED = frozenset({"yes", "no", "noanswer"})


def read(path: Path) -> list[Entry]:
    """Return one entry per question; its id is that of the file, or the number of the row."""
    entries = distinct(
        (where, _ircot(where, row) if "question_text" in row else _published(where, row, number))
        for number, (where, row) in enumerate(read_rows(path))
    )
    if not entries:
        raise UserError(f"{path} is empty. Give a file of HotpotQA.")
    return entries


def _published(where: str, row: dict[str, Any], number: int) -> Entry:
    name = next((str(row[key]) for key in ("_id", "id") if key in row), str(number))
    pages = _pairs(where, row, "context", ("title", "sentences"))
    paragraphs, sentences = [], {}
    for title, lines in pages:
        page = {"title": title, "sentences": lines}
        title, parts = text(where, page, "title"), texts(where, page, "sentences")
        if body := _joined(parts):  # the data have a few pages without text
            paragraphs.append(titled(title, body))
            sentences[title] = parts
    if not paragraphs:
        raise UserError(f"{where}: 'context' has no text.")
    support = [
        sentences[title][place].strip()
        for title, place in _pairs(where, row, "supporting_facts", ("title", "sent_id"))
        # A few facts of the data name a sentence that is not there.
        if title in sentences and 0 <= place < len(sentences[title])
    ]
    slices: dict[str, str] = {
        key: text(where, row, key) for key in FORMAT.slice_names if key in row
    }
    question = Question(
        "q",
        text(where, row, "question"),
        answers(where, {"answer": [text(where, row, "answer")]}, "answer"),
        slices,
        support=tuple(sentence for sentence in dict.fromkeys(support) if sentence),
    )
    return Entry(name, tuple(paragraphs), (question,))


def _joined(sentences: Sequence[str]) -> str:
    """Return the sentences as one text; 2WikiMultihopQA has no space in front of them."""
    text = ""
    for sentence in sentences:
        apart = not text or text[-1].isspace() or not sentence or sentence[0].isspace()
        text += sentence if apart else f" {sentence}"
    return text.strip()


def _pairs(
    where: str, row: dict[str, Any], name: str, columns: tuple[str, str]
) -> list[tuple[Any, Any]]:
    """Return a list of pairs, whether it is written as pairs or as two columns."""
    given = row.get(name)
    if isinstance(given, dict):
        first, second = (field(f"{where}, {name}", given, column, list) for column in columns)
        if len(first) != len(second):
            raise UserError(f"{where}: the columns of {name!r} are of different lengths.")
        pairs = list(zip(first, second, strict=True))
    else:
        pairs = field(where, row, name, list)
    if any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
        raise UserError(f"{where}: {name!r} is no list of pairs.")
    kind = int if columns[1] == "sent_id" else list
    for title, value in pairs:
        if not isinstance(title, str) or not isinstance(value, kind):
            wrong = value if isinstance(title, str) else title
            raise UserError(f"{where}: {name!r} holds {name_of(wrong)} in a wrong place.")
    return [(title, value) for title, value in pairs]


def _ircot(where: str, row: dict[str, Any]) -> Entry:
    # It names the paragraphs that support the answer, not the sentences.
    paragraphs = tuple(
        titled(text(here, page, "title"), text(here, page, "paragraph_text"))
        for here, page in objects(where, row, "contexts")
    )
    accepted = [
        answer
        for here, given in objects(where, row, "answers_objects")
        for answer in answers(here, given, "spans")
    ]
    if not (paragraphs and accepted):
        raise UserError(f"{where}: has no {'spans' if paragraphs else 'contexts'}.")
    question = Question("q", text(where, row, "question_text"), tuple(accepted))
    return Entry(text(where, row, "question_id"), paragraphs, (question,))


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return `f1` and `exact_match`; a yes or no is right or wrong, its words are not shared."""
    exact = exact_match(answer, question.targets)
    closed = normalize(answer) in _CLOSED or any(normalize(t) in _CLOSED for t in question.targets)
    return {"f1": exact if closed else f1(answer, question.targets), "exact_match": exact}


FORMAT = Format(
    title="HotpotQA: questions that need two of ten paragraphs",
    licence="CC BY-SA 4.0",
    source="https://hotpotqa.github.io/",
    read=read,
    metrics=("f1", "exact_match"),
    score=score,
    slice_names=("type", "level"),
    fills=True,
)
