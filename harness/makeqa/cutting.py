"""Cuts documents into contexts of a number of tokens, at the ends of paragraphs and sentences.

A document is cut into parts of about the same size, so that no small rest is left. A context is
always verbatim text of its document, and its place there is kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from harness.api import Tokenizer
from harness.makeqa.readers import Document
from harness.text import Span, split_sentences

NEARBY = 0.15  # how far from its place a cut may be moved to the end of a paragraph, of the size
FILL = 0.95  # room for the cuts that are moved


@dataclass(frozen=True, slots=True)
class Context:
    """A part of a document."""

    id: str
    source: str  # its document
    start: int  # in characters of the document's text, as `harness.makeqa.readers` returns it
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Size:
    """How many tokens a context may have."""

    min_tokens: int  # at most half of the other: halves of what is too long must not be too short
    max_tokens: int


def cut_document(document: Document, tokenizer: Tokenizer, size: Size) -> list[Context]:
    """Return the contexts of a document in order; none if all of it has too few tokens."""
    text = document.text
    units = list(_within(text, split_sentences(text), tokenizer, size.max_tokens))
    starts = [*(unit.start for unit in units), len(text)]
    sizes = [len(tokenizer.encode(text[a:b])) for a, b in pairwise(starts)]
    total = [0, *accumulate(sizes)]  # total[i]: tokens before unit i

    def tokens(first: int, end: int) -> int:
        # The whole may have more tokens than its parts: count it as it will be read.
        return len(tokenizer.encode(text[units[first].start : units[end - 1].end]))

    contexts: list[Context] = []
    first = 0
    while first < len(units):
        end = _next_cut(units, total, first, size)
        while end > first + 1 and tokens(first, end) > size.max_tokens:
            end -= 1
        if tokens(first, end) >= size.min_tokens:
            start, stop = units[first].start, units[end - 1].end
            name = f"{document.source}#{len(contexts) + 1}"
            contexts.append(Context(name, document.source, start, stop, text[start:stop]))
        first = end
    return contexts


def _next_cut(units: Sequence[Span], total: Sequence[int], first: int, size: Size) -> int:
    """Return before which unit to cut: one in place, at the end of a paragraph if one is near."""
    rest = total[-1] - total[first]
    if rest <= size.max_tokens:
        return len(units)
    wanted = rest / -(-rest // int(size.max_tokens * FILL))
    places = range(first + 1, len(units) + 1)
    distance = {end: abs(total[end] - total[first] - wanted) for end in places}
    near = [
        end
        for end in places[:-1]
        if distance[end] <= NEARBY * wanted
        and size.min_tokens <= total[end] - total[first] <= size.max_tokens
    ]
    paragraphs = [end for end in near if units[end].first]
    return min(paragraphs or near or places, key=distance.__getitem__)


def _within(text: str, units: list[Span], tokenizer: Tokenizer, max_tokens: int) -> Iterator[Span]:
    """Yield the units, those with more than `max_tokens` tokens halved between words."""
    for unit in units:
        inside = text[unit.start : unit.end]
        # No token is shorter than a byte: most units need not be counted.
        if len(inside.encode()) <= max_tokens or len(tokenizer.encode(inside)) <= max_tokens:
            yield unit
            continue
        middle = len(inside) // 2
        cut = inside.find(" ", middle) + 1 or inside.rfind(" ") + 1 or middle
        halves = [
            Span(unit.start, unit.start + len(inside[:cut].rstrip()), unit.first),
            Span(unit.start + cut, unit.end),
        ]
        yield from _within(text, halves, tokenizer, max_tokens)
