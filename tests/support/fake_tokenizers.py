"""Tokenizers that need no model: exact, merging across sentences, splitting between them."""

from collections.abc import Sequence


class WordTokenizer:
    """One token per word, as fast as it gets; remembers what it has read."""

    def __init__(self) -> None:
        self.calls = 0
        self._ids: dict[str, int] = {}
        self._words: list[str] = []

    def encode(self, text: str) -> list[int]:
        """Return one id per word."""
        self.calls += 1
        return [self._id(word) for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the words of `ids`."""
        return " ".join(self._words[i] for i in ids)

    def _id(self, word: str) -> int:
        if word not in self._ids:
            self._ids[word] = len(self._words)
            self._words.append(word)
        return self._ids[word]


class MergingTokenizer(WordTokenizer):
    """Seven characters a token, wherever words end: a text is less than the sum of its parts."""

    def encode(self, text: str) -> list[int]:
        """Return one id per started seven characters."""
        self.calls += 1
        return [self._id(text[start : start + 7]) for start in range(0, len(text), 7)]


class SplittingTokenizer(WordTokenizer):
    """Counts the joint between two sentences too: a text is more than the sum of its parts."""

    def encode(self, text: str) -> list[int]:
        """Return one id per word and per joint."""
        return super().encode(text.replace(". ", " . . "))
