"""Cuts a context into chunks that an embedder can read: whole sentences, counted in its tokens.

Chunks are spans of the context, so a passage is always verbatim text of it, and together they
cover every character. Sentences are found by punctuation and line breaks, without a model: a
wrong guess costs a little retrieval quality and never a character.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from harness.text import UNITS

CountTokens = Callable[[Sequence[str]], list[int]]

_OPENING = "\"'([\u2018\u201c\u00ab"
_CLOSING = "\"')\\]\u2019\u201d\u00bb\u300d\u300f"
_WIDE = (
    "\u3002\uff01\uff1f\uff0e\u0964\u0965\u061f\u06d4\u17d4"  # CJK and others: no space after it
)
_BREAK = re.compile(
    r"(?P<line>\n\s*)"
    rf"|(?P<wide>[{_WIDE}]+[{_CLOSING}]*\s*)"
    rf"|(?P<stop>[.!?\u2026]+[{_CLOSING}]*\s+)"
)
_ABBREVIATIONS = frozenset(
    {"al", "cf", "dr", "e.g", "ed", "eq", "etc", "fig", "i.e", "inc", "jr", "ltd", "mr", "mrs"}
    | {"ms", "mt", "pp", "prof", "rev", "sr", "st", "vol", "vs"}
)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a context: `context[start:end]`."""

    start: int
    end: int


def split_sentences(text: str) -> list[Span]:
    """Return the sentences of `text` in order, each with the whitespace that follows it.

    The spans touch one another and cover the whole text; an empty text has none. Not those of
    `harness.text.split_sentences`: these leave gaps, and the passages of stored runs would change.
    """
    begin = len(text) - len(text.lstrip())
    found = (m for m in _BREAK.finditer(text, begin) if _ends_sentence(text, m))
    return [Span(*edge) for edge in pairwise(sorted({0, *(m.end() for m in found), len(text)}))]


def _ends_sentence(text: str, found: re.Match[str]) -> bool:
    """Say whether a sentence ends at this piece of punctuation or whitespace."""
    lines = found.group().count("\n")
    if found.lastgroup == "wide" or lines > 1 or (found.lastgroup == "stop" and lines):
        return True
    if text[found.end() : found.end() + 1].islower():
        return False  # a wrapped line, or a stop inside a sentence: "approx. five"
    if not found.group().startswith("."):
        return True
    word = text[max(0, found.start() - 12) : found.start()].split()[-1:]
    last = word[0].lstrip(_OPENING) if word else ""
    initial = len(last) == 1 and last.isupper()
    return not initial and last.lower() not in _ABBREVIATIONS


def chunk_context(
    text: str, *, chunk_tokens: int, overlap: int, count_tokens: CountTokens
) -> list[Span]:
    """Cut `text` into chunks of whole sentences, in order, with no character left out.

    A sentence with more tokens than a chunk is cut between words, a longer word anywhere.

    Args:
        text: the context.
        chunk_tokens: the maximum of tokens in a chunk, special tokens not counted.
        overlap: how many sentences from the end of a chunk are repeated at the start of the
            next one, as far as they leave room for something new.
        count_tokens: the tokens of each of many texts, by the embedder's own tokenizer.
    """
    units = _within(text, split_sentences(text), chunk_tokens, count_tokens)
    total = [0, *accumulate(_sizes(text, units, count_tokens))]  # total[i]: tokens before unit i

    def fits(first: int, end: int) -> bool:
        # A tokenizer may give the whole more tokens than its parts: count it as it will be read.
        whole = Span(units[first].start, units[end - 1].end)
        return _sizes(text, [whole], count_tokens)[0] <= chunk_tokens

    chunks: list[Span] = []
    first = done = 0  # `done`: units that are in some chunk
    while done < len(units):
        while first < done and total[done + 1] - total[first] > chunk_tokens:
            first += 1
        end = bisect_right(total, total[first] + chunk_tokens, lo=done + 2) - 1
        while end > done + 1 and not fits(first, end):
            end -= 1
        while first < done and not fits(first, end):
            first += 1
        chunks.append(Span(units[first].start, units[end - 1].end))
        first, done = max(end - overlap, first + 1), end
    return chunks


def _sizes(text: str, spans: Sequence[Span], count_tokens: CountTokens) -> list[int]:
    return count_tokens([text[span.start : span.end].strip() for span in spans])


def _within(text: str, spans: list[Span], max_tokens: int, count_tokens: CountTokens) -> list[Span]:
    """Halve every span that has more than `max_tokens` tokens until none has."""
    kept: list[Span] = []
    for span, size in zip(spans, _sizes(text, spans, count_tokens), strict=True):
        if size <= max_tokens or span.end - span.start == 1:
            kept.append(span)
        else:
            cut = _middle(text, span)
            halves = [Span(span.start, cut), Span(cut, span.end)]
            kept += _within(text, halves, max_tokens, count_tokens)
    return kept


def _middle(text: str, span: Span) -> int:
    """Return where to halve: the sentence, line, word or else character nearest to the middle."""
    inside = text[span.start : span.end]
    middle = len(inside) // 2
    begin = len(inside) - len(inside.lstrip())
    sentences = [sentence.end for sentence in split_sentences(inside)]
    lines = [found.end() for found in re.finditer(r"\n\s*", inside)]
    words = [found.end() for found in re.finditer(r"\s+", inside)]
    for cuts in (sentences, lines, words):
        if nearest := [cut for cut in cuts if begin < cut < len(inside)]:
            return span.start + min(nearest, key=lambda cut: abs(cut - middle))
    return span.start + middle


def word_ends(text: str, span: Span) -> list[int]:
    """Return where `text[start:end]` may be cut: after words, after letters without spaces."""
    return [unit.end() for unit in UNITS.finditer(text, span.start, span.end)]


def merge_chunks(chunks: Sequence[Span], ranked: Sequence[int], *, by_rank: bool) -> list[Span]:
    """Return the ranked chunks as spans that neither touch nor overlap.

    Args:
        chunks: all chunks of a context, in its order.
        ranked: numbers of some of them, the best first.
        by_rank: order the spans by their best chunk, not by their place in the context.
    """
    merged: list[tuple[int, Span]] = []  # (rank, span), in the order of the context
    for number, rank in sorted((number, rank) for rank, number in enumerate(ranked)):
        span = chunks[number]
        if merged and span.start <= merged[-1][1].end:
            best, before = merged.pop()
            rank, span = min(best, rank), Span(before.start, max(before.end, span.end))
        merged.append((rank, span))
    if by_rank:
        merged.sort(key=lambda pair: pair[0])
    return [span for _, span in merged]
