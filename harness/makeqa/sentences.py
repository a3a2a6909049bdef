"""Sentences and paragraphs of a text, found by punctuation and blank lines, without a model.

Lines of code, tables and lists are units of their own: they are no sentences, but a text can be cut
between them. What is no sentence for sure is not prose: no question is made of it by rules.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_STOP = re.compile(r"[.!?\u2026]+[\"')\]\u2019\u201d]*(?=\s)|[\u3002\uff01\uff1f]+")
_ITEM = re.compile(r"\n(?=[ \t]*(?:[-*+>|#]|\d+[.)])\s)")
_ABBREVIATIONS = frozenset(
    "al approx cf co dr e.g ed eq etc fig gen i.e inc jr lt ltd mr mrs ms mt no p pp prof rev sr st"
    " vol vs".split()
)
_CODE = re.compile(r"[{}\[\]<>=_\\`#*|@~^]|://|\w\(|[a-z]\.[a-z_]|\s--\w")
_SENTENCE = re.compile(r"[\"'(\u2018\u201c]?[A-Z].*[.!?\u2026][\"')\u2019\u201d]*", re.S)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text: `text[start:end]`, no white space at either end."""

    start: int
    end: int
    first: bool = False  # of its paragraph


def split_sentences(text: str) -> list[Span]:
    """Return the sentences of a text, and its lines where it is code, tables or lists."""
    return [span for paragraph in _paragraphs(text) for span in _units(text, paragraph)]


def is_prose(sentence: str) -> bool:
    """Say whether a piece of text is a whole sentence of plain words."""
    if not _SENTENCE.fullmatch(sentence) or _CODE.search(sentence):
        return False
    return "\n\n" not in sentence and sum(map(str.isalpha, sentence)) > 0.7 * len(sentence)


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
        stops = [found.end() for found in _STOP.finditer(inside) if _ends(inside, found)]
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


def _ends(text: str, stop: re.Match[str]) -> bool:
    """Say whether a sentence ends at this stop."""
    after = text[stop.end() :].lstrip()[:1]
    if after.islower():
        return False  # "approx. five"; "Stop!" he cried
    if not stop.group().startswith("."):
        return True
    word = re.split(r"[\s(\[\"']", text[: stop.start()][-16:])[-1]
    initial = len(word) == 1 and word.isupper() and word != "I"
    return not initial and word.lower() not in _ABBREVIATIONS


def _trim(text: str, start: int, end: int, *, first: bool) -> Span | None:
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    return Span(start, start + len(inside.strip()), first) if inside.strip() else None
