"""bAbI (arXiv 1502.05698): stories of short sentences with questions between them.

    1 Mary moved to the bathroom.
    2 John went to the hallway.
    3 Where is Mary?<TAB>bathroom<TAB>1

A number of 1 begins a new story, and the last column names the sentences that support the answer.
The context of a question is the story up to it, so every question has a context of its own; its id
is `story.question`, and the questions of a story are not independent of each other.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_lines
from benchmarks.scoring.answers import exact_score
from harness.api import Question
from harness.errors import UserError
from harness.text import normalize

_SEPARATOR = re.compile(r"[,;&/|+\n]|\band\b", re.I)
_LINE = re.compile(r"(\d{1,9}) (.*\S)\s*\Z")


def read(path: Path) -> list[Entry]:
    """Return one entry per question, in the order of the file."""
    entries: list[Entry] = []
    story, asked, previous = 0, 0, 0
    sentences: dict[int, Paragraph] = {}  # of the story, by their numbers
    for where, line in read_lines(path):
        parts = _LINE.match(line)
        if parts is None:
            raise UserError(f"{where}: does not start with a number. Give a file of bAbI.")
        number, text = int(parts[1]), parts[2]
        if number == 1:
            story, asked, sentences = story + 1, 0, {}
        elif number != previous + 1 or not story:
            raise UserError(
                f"{where}: number {number} follows {previous}, where a story counts from 1 on. "
                "Lines are missing, or it is no file of bAbI."
            )
        previous = number
        if "\t" not in text:
            sentences[number] = Paragraph(text)
            continue
        asked += 1
        entries.append(_entry(where, f"{story}.{asked}", sentences, text))
    if not entries:
        raise UserError(f"{path} holds no question. Give a file of bAbI.")
    if "\t" not in text:
        raise UserError(f"{where}: a story ends without a question. Was the file cut?")
    return entries


def _entry(where: str, name: str, sentences: dict[int, Paragraph], text: str) -> Entry:
    parts = [part.strip() for part in text.split("\t")]
    if len(parts) != 3 or not all(parts):
        raise UserError(f"{where}: is no question, answer and numbers of sentences between tabs.")
    if not sentences:
        raise UserError(f"{where}: there is no sentence before the question.")
    question, answer, numbers = parts[0], parts[1], parts[2].split()
    unknown = [n for n in numbers if not n.isdecimal() or int(n) not in sentences]
    if unknown:
        raise UserError(f"{where}: no sentence {unknown[0][:20]!r} stands before the question.")
    support = tuple(sentences[int(n)].text for n in numbers)
    asked = Question("q", question, (answer,), support=support)
    return Entry(name, tuple(sentences.values()), (asked,))


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return `exact_match`; the items of a list (`milk,football`) may stand in any order.

    Items of one word each, as all of bAbI's are, may stand without a comma, too.
    """
    given = _items(answer)
    words = sorted(word for item in given for word in item.split())
    lists = [_items(target) for target in question.targets if "," in target]
    found = any(wanted in (given, words) for wanted in lists)
    return {"exact_match": 1.0} if found else exact_score(question, answer)


def _items(text: str) -> list[str]:
    """Return the items of a list in words or with commas, normalised and in alphabetical order."""
    return sorted(filter(None, map(normalize, _SEPARATOR.split(text))))


FORMAT = Format(
    title="bAbI tasks: short stories, one or more facts to put together",
    licence="CC BY 3.0",
    source="https://research.facebook.com/downloads/babi/",
    read=read,
    metrics=("exact_match",),
    score=score,
    separator=" ",
)
