"""Texts as they are compared and cut: the form in which answers are equal, and sentences.

Standard library only, so that every package may import it.
"""

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_STRAIGHT = str.maketrans("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u2013\u2014", "''''\"\"\"--")

_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_STOP = re.compile(r"[.!?\u2026]+[\"')\]\u2019\u201d]*(?=\s)|[\u3002\uff01\uff1f]+")
_ITEM = re.compile(r"\n(?=[ \t]*(?:[-*+>|#]|\d+[.)])\s)")
_OPENING = re.compile(r"[\s(\[\"'\u2018\u201c\u00ab]")
_NEXT = re.compile(r"\s*(\S?)")
_ABBREVIATIONS = frozenset(
    "al approx cf co dr e.g ed eq etc fig gen i.e inc jr lt ltd mr mrs ms mt no p pp prof rev sr st"
    " vol vs".split()
)
_CODE = re.compile(r"[{}\[\]<>=_\\`#*|@~^]|://|\w\(|[a-z]\.[a-z_]|\s--\w")
_SENTENCE = re.compile(r"[\"'(\u2018\u201c]?[A-Z].*[.!?\u2026][\"')\u2019\u201d]*", re.S)


def normalize(text: str, *, articles: bool = False) -> str:
    """Return `text` in the form that SQuAD compares; with `articles`, these stay in it.

    The order is the official one and matters: lower case, punctuation, articles, white space.
    `the-cat` becomes `thecat`, not `cat`.
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join((bare if articles else _ARTICLES.sub(" ", bare)).split())


def normalize_pair(answer: str, target: str) -> tuple[str, str]:
    """Return both texts in the form that is compared, the second empty only if it is blank.

    A target such as `A` or `?` would be normalised to nothing: there the step that takes its last
    character is left out for both texts.
    """
    if wanted := normalize(target):
        return normalize(answer), wanted
    if wanted := normalize(target, articles=True):
        return normalize(answer, articles=True), wanted
    return " ".join(answer.lower().split()), " ".join(target.lower().split())


def straighten(text: str) -> str:
    """Return `text` with straight quotes and hyphens, each character at its place."""
    return text.translate(_STRAIGHT)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text: `text[start:end]`."""

    start: int
    end: int
    first: bool = False  # of its paragraph


def split_sentences(text: str) -> list[Span]:
    """Return the sentences of a text, without the white space around them.

    Found by punctuation and blank lines, without a model. Lines of code, tables and lists are
    units of their own: they are no sentences, but a text can be cut between them.
    """
    return [span for paragraph in _paragraphs(text) for span in _units(text, paragraph)]


def is_prose(sentence: str) -> bool:
    """Say whether a piece of text is a whole sentence of plain words."""
    if not _SENTENCE.fullmatch(sentence) or _CODE.search(sentence):
        return False
    return "\n\n" not in sentence and sum(map(str.isalpha, sentence)) > 0.7 * len(sentence)


def _ends_sentence(text: str, start: int, end: int) -> bool:
    """Say whether a sentence ends at the punctuation `text[start:end]`."""
    following = _NEXT.match(text, end)
    if following and following[1].islower():
        return False  # "approx. five"; "Stop!" he cried
    if text[start] != ".":
        return True
    word = _OPENING.split(text[max(0, start - 16) : start])[-1]
    initial = len(word) == 1 and word.isupper() and word != "I"
    return not initial and word.lower() not in _ABBREVIATIONS


def _paragraphs(text: str) -> Iterator[Span]:
    begin = 0
    for gap in (*_BLANK_LINE.finditer(text), None):
        end = gap.start() if gap else len(text)
        if trimmed := _trim(text, begin, end, first=True):
            yield trimmed
        begin = gap.end() if gap else end


def _units(text: str, paragraph: Span) -> Iterator[Span]:
    inside = text[paragraph.start : paragraph.end]
    if _is_code(inside):
        ends = [found.end() for found in re.finditer(r"\n", inside)]
    else:
        stops = [m.end() for m in _STOP.finditer(inside) if _ends_sentence(inside, *m.span())]
        ends = sorted({*stops, *(found.end() for found in _ITEM.finditer(inside))})
    begin = 0
    for end in (*ends, len(inside)):
        start = paragraph.start + begin
        if unit := _trim(text, start, paragraph.start + end, first=begin == 0):
            yield unit
        begin = end


def _is_code(paragraph: str) -> bool:
    """Say whether line breaks mean something here: indents and signs, not wrapped words."""
    lines = paragraph.split("\n")
    signs = sum(
        line[:1].isspace() or line.rstrip()[-1:] in "({[:;=}])|\\" or line[:1] in "@}|"
        for line in lines[1:]
    )
    return len(lines) > 1 and 2 * signs > len(lines) - 1 and bool(_CODE.search(paragraph))


def _trim(text: str, start: int, end: int, *, first: bool) -> Span | None:
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    return Span(start, start + len(inside.strip()), first) if inside.strip() else None
