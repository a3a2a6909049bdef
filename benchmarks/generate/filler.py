"""Contexts of an exact size: filler sentences up to a number of tokens, with others among them.

Sizes are counted with the tokenizer of the tested model and never exceed what was asked for. The
filler is written for this project, or is a person's own text.
"""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.generate.lexicon import Split, filler_sentence
from harness.api import Tokenizer
from harness.errors import UserError

Placed = tuple[float, str]
"""A sentence and where it stands: 0 is before all filler, 1 is after it."""

_ENDS = re.compile(
    r"(?<=[.!?])\s+|(?<=[.!?][\"'\u2019\u201d)])\s+|(?<=[\u3002\uff01\uff1f])|\n\s*\n"
)


def read_sentences(path: Path) -> tuple[str, ...]:
    """Return the sentences of a text file, in its order, each in one line.

    Not those of `harness.text.split_sentences`: the contexts of stored runs are cut like this.

    Raises:
        UserError: the file cannot be read as text, or holds none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"text={path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"text={path} is not text in UTF-8 (byte {error.start}). Give a plain text file."
        ) from None
    found = tuple(filter(None, (" ".join(piece.split()) for piece in _ENDS.split(text))))
    if not found:
        raise UserError(f"text={path} is empty. Give a file with text in it.")
    return found


class FillerWriter:
    """Write contexts for one tokenizer; keeps the token counts of the sentences it has met.

    Args:
        tokenizer: counts.
        split: of the sentences written for this project.
        sentences: of a text, to be taken in their order instead, from a place that is drawn.
    """

    def __init__(self, tokenizer: Tokenizer, split: Split, sentences: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._split = split
        self._sentences = sentences
        self._counts: dict[str, int] = {}

    def write(self, rng: random.Random, tokens: int, placed: Sequence[Placed] = ()) -> str:
        """Return a context of at most `tokens` tokens, short of it by less than one sentence.

        Counts of sentences are added up while drawing, which is fast but may be off by a few
        tokens where a tokenizer merges across spaces; the whole text is counted at the end.

        Raises:
            UserError: the placed sentences alone are more than `tokens`, or nothing fits at all,
                or the text is too short.
        """
        filler: list[str] = []
        room = tokens - self.count(interleave(filler, placed))
        if room < 0:
            raise UserError(
                f"tokens={tokens} is too few: the sentences that must be in the context are "
                f"{tokens - room} tokens with this model. Give tokens={tokens - room} or more."
            )
        source = self._drawn(rng)
        sentence = next(source)
        while self.count(sentence) <= room:
            while (count := self.count(sentence)) <= room:
                filler.append(sentence)
                room -= count
                if (following := next(source, None)) is None:
                    raise UserError(
                        f"tokens={tokens} is more than the text has: about {tokens - room:,} "
                        "with this model. Ask for fewer, or give a longer text."
                    )
                sentence = following
            room = tokens - self._measure(filler, placed)
        while room < 0:
            filler.pop()
            room = tokens - self._measure(filler, placed)
        if not (filler or placed):
            raise UserError(f"tokens={tokens} is too few for one sentence. Give tokens=32 or more.")
        return interleave(filler, placed)

    def _drawn(self, rng: random.Random) -> Iterator[str]:
        """Yield filler: without end, or a text once from a drawn place on, around its end."""
        if self._sentences:
            start = rng.randrange(len(self._sentences))
            yield from self._sentences[start:]
            yield from self._sentences[:start]
        else:
            while True:
                yield filler_sentence(rng, self._split)

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
