"""Contexts as the page shows them: cut where they are long, what matters in them marked."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.text import in_any_spacing

Span = tuple[int, int]  # letters of a text, from and to
MARGIN = 240  # letters kept around what is marked
CUT = "\n[…]\n"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text, cut if need be."""

    text: str
    kept: tuple[Span, ...]  # of the whole text, in order

    def place(self, span: Span) -> Span | None:
        """Return where a span of the whole text is in this one; None if it was cut away."""
        at = 0
        for start, end in self.kept:
            if start <= span[0] < end:
                return at + span[0] - start, at + min(span[1], end) - start
            at += end - start + len(CUT)
        return None

    def places(self, spans: Iterable[Span]) -> list[Span]:
        """Return the places of those spans that are there."""
        return [found for span in spans if (found := self.place(span))]


def find(text: str, piece: str) -> Span | None:
    """Return where a text holds a piece, whatever its line breaks; None if it does not."""
    if not piece.strip():
        return None
    at = text.find(piece)
    if at >= 0:
        return at, at + len(piece)
    found = re.search(in_any_spacing(piece), text)
    return found.span() if found else None


def excerpt(text: str, spans: Sequence[Span], room: int) -> Excerpt:
    """Return a text of about `room` letters: what surrounds the first spans, else its start."""
    if len(text) <= room:
        return Excerpt(text, ((0, len(text)),))
    kept: list[Span] = []
    for start, end in [*spans, (0, room)]:
        wider = (max(0, start - MARGIN), min(len(text), end + MARGIN))
        merged = _merged([*kept, wider])
        left = room - sum(b - a for a, b in kept)
        if sum(b - a for a, b in merged) > room:
            merged = _merged([*kept, (wider[0], wider[0] + left)]) if left > MARGIN else kept
        kept = merged
    return Excerpt(CUT.join(text[start:end] for start, end in kept), tuple(kept))


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
