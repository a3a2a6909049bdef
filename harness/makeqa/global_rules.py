"""Rules for questions that need the whole text: counts, and the order of first mentions."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from harness.makeqa.mentions import Reading, spellings
from harness.makeqa.proposals import Proposal

COUNTS = range(3, 16)  # most names are written twice: a guess; more is hard to count for anyone
MARGIN = 1.5  # the most frequent has to stand out
WORD_LETTERS = 6
ENOUGH_NAMES = 6  # with fewer, ordinary words are asked about too


def global_questions(reading: Reading, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions over the names of the text, and over its words where it has few names."""
    names = [name for name, _ in reading.names.most_common() if _apart(name, reading.names)]
    words = names if len(names) >= ENOUGH_NAMES else names + _terms(reading)
    counted = rng.sample(words, len(words))
    while True:
        before = len(counted)
        for rule in rng.sample((_first, _last, _most), 3):
            if len(words) >= 3:
                yield from rule(reading, rng.sample(words, 3))
            while counted:
                if found := count_of(reading, word := counted.pop()):
                    question = f'How many times is "{word}" written in the text?'
                    yield Proposal("global", question, *found)
                    break
        if len(counted) == before:
            return


def count_of(reading: Reading, words: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return how often the words are written, and the lines where; None if too rare or frequent."""
    count = reading.count(words)
    lines = [line for line in reading.lines if holds_as_written(line, words)]
    found = sum(len(re.findall(_pattern(words), line)) for line in lines)
    if count not in COUNTS or found != count:
        return None
    return spellings(str(count)), tuple(dict.fromkeys(lines))


def holds_as_written(line: str, words: str) -> bool:
    """Say whether a line has the words in this spelling, as whole words."""
    return bool(re.search(_pattern(words), line))


def _pattern(words: str) -> str:
    return rf"(?<!\w){re.escape(words)}(?!\w)"


def _first(reading: Reading, words: Sequence[str]) -> Iterator[Proposal]:
    answer = min(words, key=reading.first)
    yield from _choice(reading, words, answer, "is written first")


def _last(reading: Reading, words: Sequence[str]) -> Iterator[Proposal]:
    """Which of three comes last, by its first mention and by its last."""
    answer = max(words, key=reading.first)
    if answer == max(words, key=reading.last):
        yield from _choice(reading, words, answer, "is mentioned last")


def _most(reading: Reading, words: Sequence[str]) -> Iterator[Proposal]:
    counts = Counter({word: reading.count(word) for word in words})
    (answer, most), (_, second), *_ = counts.most_common()
    if most >= MARGIN * second and most > second + 1:
        yield from _choice(reading, words, answer, "is written most often")


def _choice(reading: Reading, words: Sequence[str], answer: str, what: str) -> Iterator[Proposal]:
    lines = {
        word: [line for line in reading.lines if holds_as_written(line, word)] for word in words
    }
    if all(lines.values()):
        proofs = dict.fromkeys(lines[word][0] for word in words)
        named = f'"{words[0]}", "{words[1]}" or "{words[2]}"'
        yield Proposal("global", f"Which {what} in the text: {named}?", (answer,), tuple(proofs))


def _apart(name: str, names: Counter[str]) -> bool:
    """Say whether no other name holds this one: the count of Ada is not that of Ada Byron."""
    return not any(name != other and name in other for other in names)


def _terms(reading: Reading) -> list[str]:
    """Return longer words in lower case that are neither rare nor everywhere."""
    words = re.findall(rf"(?<![\w.-])[a-z]{{{WORD_LETTERS},}}(?![\w-])", reading.text)
    counts = Counter(words)
    return sorted(word for word, count in counts.items() if count in COUNTS)
