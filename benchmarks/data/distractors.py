"""Fill a context up to a length with other documents of the same data set.

The documents are real and the question stays the one that was published; only the place of its own
paragraphs among the others is drawn. No other document holds an accepted answer or is from the same
page, so a question without an answer stays without one as far as titles show.
"""

import random
from collections.abc import Iterator, Sequence

from benchmarks.data.formats import Entry, Paragraph
from harness.api import Tokenizer
from harness.errors import UserError
from harness.text import normalize

_PARTS = 4  # of a context, to say where its own paragraph stands


class Distractors:
    """The paragraphs of a data set, to fill contexts of its own with.

    Args:
        entries: the data set.
        separator: between paragraphs.
        tokenizer: counts; a paragraph is read once.
    """

    def __init__(self, entries: Sequence[Entry], separator: str, tokenizer: Tokenizer) -> None:
        unique = {part.text: part for entry in entries for part in entry.paragraphs}
        self._pool = list(unique.values())
        self._separator = separator
        self._tokenizer = tokenizer
        self._words = {text: f" {normalize(text)} " for text in unique}
        # What a paragraph adds behind another: a joint at the end of a text is read otherwise.
        end = self._count(".")
        self._tokens = {text: self._count(f".{separator}{text}") - end for text in unique}
        self._shortest = min(self._tokens.values())

    def fill(self, entry: Entry, tokens: int, seed: int) -> tuple[str, str]:
        """Return the context of `entry` with as many others as fit into `tokens`.

        A context that is longer than that by itself stays as it is.

        Returns:
            the context, and where its own first paragraph stands among the others, as text: 0 is
            the start, 1 the end, in quarters.

        Raises:
            UserError: the data set has too few paragraphs.
        """
        rng = random.Random(f"{seed}/{entry.id}")
        own = [part.text for part in entry.paragraphs]
        room = tokens - sum(self._tokens[text] for text in own)
        texts = own + [part.text for part in self._fitting(entry, room, rng)]
        order = (
            rng.sample(range(len(texts)), len(texts)) if len(texts) > len(own) else range(len(own))
        )
        while True:
            places = [place for place in order if place < len(texts)]
            context = self._separator.join(texts[place] for place in places)
            # A tokenizer may make more of the joints than of the parts alone.
            if len(texts) == len(own) or self._count(context) <= tokens:
                break
            texts.pop()
        share = places.index(0) / max(len(places) - 1, 1)
        return context, f"{round(share * _PARTS) / _PARTS:g}"

    def _fitting(self, entry: Entry, room: int, rng: random.Random) -> Iterator[Paragraph]:
        titles = {part.title for part in entry.paragraphs} - {""}
        texts = {part.text for part in entry.paragraphs}
        accepted = [normalize(target) for q in entry.questions for target in q.targets]
        answers = [f" {target} " for target in accepted if target]
        wanted, left_out = room, False
        for part in rng.sample(self._pool, len(self._pool)):
            if room < self._shortest:
                return
            if part.title in titles or part.text in texts:
                continue
            if any(answer in self._words[part.text] for answer in answers):
                continue
            if self._tokens[part.text] > room:
                left_out = True
                continue
            room -= self._tokens[part.text]
            yield part
        if not left_out:
            raise UserError(
                f"sample {entry.id}: the other documents make {wanted - room:,} tokens, and "
                f"filler_tokens asks for {wanted:,} of them. Ask for less, or give a larger file."
            )

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text))
