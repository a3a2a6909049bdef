"""Where marks and their names go in a chart, so that none lies on another.

Places are in points of the finished picture, from its lower left corner. Nothing here draws.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

STEP = 4.0  # size of the squares that cover a line
LETTER, LINE = 0.56, 1.25  # width of an average letter and height of a line, in font sizes


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "Box") -> float:
        """Return the area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    @property
    def area(self) -> float:
        """Width times height."""
        return (self.right - self.left) * (self.top - self.bottom)


def around(x: float, y: float, size: float) -> Box:
    """Return the square of a mark."""
    half = size / 2
    return Box(x - half, y - half, x + half, y + half)


def along(path: Sequence[tuple[float, float]]) -> Iterator[Box]:
    """Yield small squares that cover a line from place to place."""
    for (a, b), (x, y) in pairwise(path):
        pieces = max(1, round(max(abs(x - a), abs(y - b)) / STEP))
        for piece in range(pieces + 1):
            share = piece / pieces
            yield around(a + share * (x - a), b + share * (y - b), STEP)


def dodged(
    places: Sequence[tuple[float, float]], size: float, area: Box
) -> list[tuple[float, float]]:
    """Return the places of marks moved sideways, as little as needed, until none hides another."""
    found: list[tuple[float, float]] = []
    for x, y in places:
        for moved in _sideways(x, size):
            is_free = all(abs(moved - a) >= size or abs(y - b) >= size for a, b in found)
            if is_free and (area.left <= moved <= area.right or abs(moved - x) > area.right):
                found.append((moved, y))
                break
    return found


def _sideways(x: float, step: float) -> Iterator[float]:
    yield x
    for times in count(1):
        yield x + times * step
        yield x - times * step


def spread(heights: Sequence[float], step: float) -> list[float]:
    """Return heights in the same order, moved apart around their middle by a step at least."""
    order = sorted(range(len(heights)), key=lambda at: heights[at])
    found = list(heights)
    for below, at in pairwise(order):
        found[at] = max(found[at], found[below] + step)
    shift = sum(found[at] - heights[at] for at in order) / max(1, len(order))
    return [height - shift for height in found]


def placed(
    texts: Sequence[str],
    anchors: Sequence[tuple[float, float]],
    *,
    font: float,
    gap: float,
    area: Box,
    taken: Sequence[Box],
) -> list[Box]:
    """Return a box for each text near the mark that it names, covering as little as possible.

    `gap` is from the middle of a mark to its text; `taken` should stay visible.
    """
    used = list(taken)
    found = []
    for text, (x, y) in zip(texts, anchors, strict=True):
        width, height = LETTER * font * len(text), LINE * font
        candidates = list(_candidates(x, y, width, height, gap))
        costs = [
            sum(box.overlap(other) for other in used)
            + 10 * (box.area - box.overlap(area))
            + 0.01 * box.area * rank
            for rank, box in enumerate(candidates)
        ]
        best = candidates[costs.index(min(costs))]
        found.append(best)
        used.append(best)
    return found


def _candidates(x: float, y: float, width: float, height: float, gap: float) -> Iterator[Box]:
    """Yield places for a text, the nearest first: right, left, then rows above and below."""
    for row in (0.0, 1.0, -1.0, 1.8, -1.8, 2.6, -2.6, 3.4, -3.4):
        bottom = y + row * height - height / 2
        for left in (x + gap, x - gap - width, x - width / 2):
            if row or left != x - width / 2:  # never on the mark itself
                yield Box(left, bottom, left + width, bottom + height)
