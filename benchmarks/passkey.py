"""passkey: find a number in filler text, over a grid of context sizes and depths.

Style `landmark` hides one pass key (Mohtashami and Jaggi, arXiv 2305.16300). Style `ruler` ties
numbers to words (RULER, arXiv 2404.06654): several keys may be asked about, a key may have several
numbers, and further keys only distract. A model that passes has copied; whether it can answer
from a document is what the suite `qa` asks.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, product
from math import gcd
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from benchmarks.generate.filler import FillerWriter, read_sentences
from benchmarks.generate.lexicon import Split, key_word, number
from harness.api import Question, Sample, Tokenizer
from harness.errors import UserError

Style = Literal["landmark", "ruler"]
T = TypeVar("T")

GOLDEN = (5**0.5 - 1) / 2
UNSEEN_SHARE = 0.2  # of the contexts in split=test; training never has them
SPARE_TOKENS = 24  # for an answer in a whole sentence, beside the numbers themselves
THOUSANDS = re.compile(r"\b\d{1,3}(?:,\d{3})+\b")  # 12,345
FILLING_WORDS = frozenset({"and", "a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Wording:
    """How a number is stated and asked for; the first sentence alone is the evidence."""

    needle: tuple[str, ...]  # its sentences, in order
    asked: str
    asked_for_several: str = ""

    def fill(self, key: str, value: str) -> str:
        """Return the needle with its key and number."""
        return " ".join(self.needle).format(key=key, value=value)


SEEN: dict[Style, tuple[Wording, ...]] = {
    "landmark": (
        Wording(
            ("The pass key is {value}.", "Remember it.", "{value} is the pass key."),
            "What is the pass key?",
        ),
        Wording(
            ("Here is the pass key: {value}.", "The pass key {value} is important."),
            "Which number is the pass key?",
        ),
    ),
    "ruler": (
        Wording(
            ("The special number for {key} is {value}.",),
            "What is the special number for {key}?",
            "What are all the special numbers for {key}?",
        ),
        Wording(
            ("One of the special numbers for {key} is: {value}.",),
            "Which special number belongs to {key}?",
            "Which special numbers belong to {key}?",
        ),
    ),
}
UNSEEN: dict[Style, Wording] = {
    "landmark": Wording(
        ("Keep the number {value} in mind, it is the pass key.",), "Can you tell me the pass key?"
    ),
    "ruler": Wording(
        ("For {key} the special number {value} was chosen.",),
        "Give me the special number that was chosen for {key}.",
        "Give me all the special numbers that were chosen for {key}.",
    ),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the grid."""

    style: Style
    tokens: int  # size of the context
    depth: float  # where the first number stands: 0 is the start, 1 the end


@dataclass(frozen=True)
class Passkey:
    """Numbers hidden in filler text.

    Args:
        split: `test`, or `train` with other numbers, keys and filler.
        tokens: context sizes in tokens of the tested model, never exceeded.
        depths: where the number stands: 0 is the start of the context, 1 its end.
        styles: `landmark` (one pass key), `ruler` (numbers of words).
        digits: digits of every number, 3 to 18.
        keys: keys that are asked about in a context of style ruler, each a question of its own;
            the first stands at the depth of its cell, the others at any of `depths`.
        values: numbers of each key in style ruler, all of them asked for in one question; one of
            them stands at the depth, the others anywhere.
        distractors: keys in style ruler that have a number which nobody asks about.
        repeats: contexts per cell of the grid; none: without end, for training.
        text: a text file to hide the numbers in, each context a stretch of it from a drawn place.
    """

    metrics: ClassVar[tuple[str, ...]] = ("exact_match", "contains")
    slice_names: ClassVar[tuple[str, ...]] = ("style", "tokens", "depth", "template")

    split: Split = "test"
    tokens: tuple[int, ...] = (256, 512, 1024, 2048)
    depths: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    styles: tuple[Style, ...] = ("landmark", "ruler")
    digits: int = 5
    keys: int = 1
    values: int = 1
    distractors: int = 2
    repeats: int | None = 1
    text: Path | None = None

    def __post_init__(self) -> None:
        """Refuse options that no context can have."""
        if not (self.tokens and self.depths and self.styles):
            raise ValueError("tokens, depths and styles need at least one value each")
        if not all(0 <= depth <= 1 for depth in self.depths):
            raise ValueError(f"depths={self.depths} must be between 0 and 1")
        if not 3 <= self.digits <= 18:
            raise ValueError(f"digits={self.digits} must be between 3 and 18")
        if min(self.keys, self.values) < 1 or self.distractors < 0:
            raise ValueError("keys and values must be at least 1, distractors at least 0")
        if self.keys * self.values + self.distractors > 100:
            raise ValueError("keys x values + distractors must be at most 100")
        _ = self._sentences  # says what is wrong with the file before a model is loaded

    @cached_property
    def _sentences(self) -> tuple[str, ...]:
        return read_sentences(self.text) if self.text else ()

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield every cell of the grid once, then every cell again, `repeats` times.

        The order jumps about in the grid, so that the first few samples are spread over it.
        """
        writer = FillerWriter(tokenizer, self.split, self._sentences)
        for index in count() if self.repeats is None else range(self.repeats):
            for tokens, depth, style in _spread(
                list(product(self.tokens, self.depths, self.styles))
            ):
                cell = Cell(style, tokens, depth)
                yield self.sample(writer, cell, f"{style}/{tokens}/{depth:g}/{index}", seed)

    def sample(self, writer: FillerWriter, cell: Cell, sample_id: str, seed: int) -> Sample:
        """Return one sample of any size and depth, decided by `seed` and `sample_id` alone.

        Raises:
            UserError: the numbers' sentences do not fit into `cell.tokens`.
        """
        rng = random.Random(f"{seed}/{sample_id}")
        unseen = self.split == "test" and rng.random() < UNSEEN_SHARE
        wording = UNSEEN[cell.style] if unseen else rng.choice(SEEN[cell.style])
        ruler = cell.style == "ruler"
        asked, values = (self.keys, self.values) if ruler else (1, 1)
        others = self.distractors if ruler else 0
        keys = _distinct(asked + others, lambda: key_word(rng, self.split))
        drawn = _distinct(asked * values + others, lambda: number(rng, self.split, self.digits))
        questions: list[Question] = []
        placed = [
            (rng.random(), wording.fill(*pair)) for pair in zip(keys[asked:], drawn, strict=False)
        ]
        for index, key in enumerate(keys[:asked]):
            own = drawn[others + index * values :][:values]
            depth = rng.choice(self.depths) if index else cell.depth
            places = sorted([depth, *(rng.random() for _ in own[1:])])
            placed += [
                (at, wording.fill(key, value)) for at, value in zip(places, own, strict=True)
            ]
            questions.append(_question(f"q{index}", wording, key, own, depth))
        return Sample(
            id=sample_id,
            context=writer.write(rng, cell.tokens, placed),
            questions=tuple(questions),
            max_new_tokens=SPARE_TOKENS + max(writer.count(q.targets[0]) for q in questions),
            slices={
                "style": cell.style,
                "tokens": str(cell.tokens),
                "template": "unseen" if unseen else "seen",
            },
        )

    def score(
        self,
        question: Question,
        answer: str,
        context: str,  # noqa: ARG002
    ) -> Mapping[str, float]:
        """Return `exact_match` (nothing but the numbers) and `contains` (share of them given).

        A number counts as a whole: 123456 does not contain 12345. Several numbers may come in
        any order; punctuation, articles and "and" do not count.
        """
        words = _words(answer)
        wanted = _words(question.targets[0])
        return {
            "exact_match": float(sorted(words) == sorted(wanted)),
            "contains": sum(value in words for value in wanted) / len(wanted),
        }


def _question(
    question_id: str, wording: Wording, key: str, values: list[str], depth: float
) -> Question:
    asked = wording.asked if len(values) == 1 else wording.asked_for_several
    return Question(
        id=question_id,
        text=asked.format(key=key),
        targets=(", ".join(values),),
        slices={"depth": f"{depth:g}"},
        support=tuple(wording.needle[0].format(key=key, value=value) for value in values),
    )


def _distinct(wanted: int, draw: Callable[[], str]) -> list[str]:
    """Return `wanted` different draws, in the order in which they came."""
    drawn: dict[str, None] = {}
    for _ in range(100 * wanted):
        if len(drawn) == wanted:
            return list(drawn)
        drawn[draw()] = None
    raise UserError(
        f"the split holds only {len(drawn)} of {wanted} different keys or numbers. "
        "Ask for fewer keys, values or distractors, or for more digits."
    )


def _words(text: str) -> list[str]:
    whole = THOUSANDS.sub(lambda match: match[0].replace(",", ""), text.lower())
    return [word for word in re.findall(r"\w+", whole) if word not in FILLING_WORDS]


def _spread(cells: Sequence[T]) -> Iterator[T]:
    """Yield all cells, each a golden section of them after the one before."""
    n = len(cells)
    start = round(n * GOLDEN)
    step = next((step for step in range(max(1, start), n + 1) if gcd(step, n) == 1), 1)
    for place in range(n):
        yield cells[place * step % n]
