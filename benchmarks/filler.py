"""Contexts of an exact size: filler sentences up to a number of tokens, with others among them.

Sizes are counted with the tokenizer of the tested model and never exceed what was asked for.
"""

import random
from collections.abc import Sequence

from benchmarks.lexicon import Split, filler_sentence
from harness.api import Tokenizer
from harness.errors import UserError

Placed = tuple[float, str]
"""A sentence and where it stands: 0 is before all filler, 1 is after it."""


class FillerWriter:
    """Write contexts for one tokenizer; keeps the token counts of the sentences it has met."""

    def __init__(self, tokenizer: Tokenizer, split: Split) -> None:
        self._tokenizer = tokenizer
        self._split = split
        self._counts: dict[str, int] = {}

    def write(self, rng: random.Random, tokens: int, placed: Sequence[Placed] = ()) -> str:
        """Return a context of at most `tokens` tokens, short of it by less than one sentence.

        Counts of sentences are added up while drawing, which is fast but may be off by a few
        tokens where a tokenizer merges across spaces; the whole text is counted at the end.

        Raises:
            UserError: the placed sentences alone are more than `tokens`, or nothing fits at all.
        """
        filler: list[str] = []
        room = tokens - self.count(interleave(filler, placed))
        if room < 0:
            raise UserError(
                f"tokens={tokens} is too few: the sentences that must be in the context are "
                f"{tokens - room} tokens with this model. Give tokens={tokens - room} or more."
            )
        sentence = filler_sentence(rng, self._split)
        while self.count(sentence) <= room:
            while (count := self.count(sentence)) <= room:
                filler.append(sentence)
                room -= count
                sentence = filler_sentence(rng, self._split)
            room = tokens - self._measure(filler, placed)
        while room < 0:
            filler.pop()
            room = tokens - self._measure(filler, placed)
        if not (filler or placed):
            raise UserError(f"tokens={tokens} is too few for one sentence. Give tokens=32 or more.")
        return interleave(filler, placed)

    def _measure(self, filler: Sequence[str], placed: Sequence[Placed]) -> int:
        return len(self._tokenizer.encode(interleave(filler, placed)))

    def count(self, sentence: str) -> int:
        """Return the tokens that a sentence adds to a text, its leading space included."""
        if sentence not in self._counts:
            self._counts[sentence] = len(self._tokenizer.encode(f" {sentence}"))
        return self._counts[sentence]


def interleave(filler: Sequence[str], placed: Sequence[Placed]) -> str:
    """Return one paragraph with each placed sentence at its share of the filler."""
    sentences: list[str] = []
    start = 0
    for depth, sentence in sorted(placed, key=lambda item: item[0]):
        end = round(depth * len(filler))
        sentences += [*filler[start:end], sentence]
        start = end
    return " ".join([*sentences, *filler[start:]])
