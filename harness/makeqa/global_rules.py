"""Rules for questions that need the whole text: counts, and the order of first mentions."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from harness.makeqa.proposals import Proposal
from harness.mentions import AnnotatedText, as_written, spellings

COUNTS = range(3, 16)  # most names are written twice: a guess; more is hard to count for anyone
MARGIN = 1.5  # the most frequent has to stand out
WORD_LETTERS = 6
ENOUGH_NAMES = 6  # with fewer, ordinary words are asked about too


def global_questions(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions over the names of the text, and over its words where it has few names."""
    names = [name for name, _ in annotated.names.most_common() if _apart(name, annotated.names)]
    words = names if len(names) >= ENOUGH_NAMES else names + _terms(annotated)
    counted = rng.sample(words, len(words))
    while True:
        before = len(counted)
        for rule in rng.sample((_first, _last, _most), 3):
            if len(words) >= 3:
                yield from rule(annotated, rng.sample(words, 3))
            while counted:
                if found := count_of(annotated, word := counted.pop()):
                    question = f'How many times is "{word}" written in the text?'
                    yield Proposal("global", question, *found)
                    break
        if len(counted) == before:
            return


def count_of(
    annotated: AnnotatedText, words: str
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return how often the words are written, and the lines where; None if too rare or frequent."""
    count = annotated.count(words)
    lines = [line for line in annotated.lines if as_written(words).search(line)]
    found = sum(len(as_written(words).findall(line)) for line in lines)
    if count not in COUNTS or found != count:
        return None
    return spellings(str(count)), tuple(dict.fromkeys(lines))


def _first(annotated: AnnotatedText, words: Sequence[str]) -> Iterator[Proposal]:
    answer = min(words, key=annotated.first)
    yield from _choice(annotated, words, answer, "is written first")


def _last(annotated: AnnotatedText, words: Sequence[str]) -> Iterator[Proposal]:
    """Which of three comes last, by its first mention and by its last."""
    answer = max(words, key=annotated.first)
    if answer == max(words, key=annotated.last):
        yield from _choice(annotated, words, answer, "is mentioned last")


def _most(annotated: AnnotatedText, words: Sequence[str]) -> Iterator[Proposal]:
    counts = Counter({word: annotated.count(word) for word in words})
    (answer, first), (_, second), *_ = counts.most_common()
    if first >= MARGIN * second and first > second + 1:
        yield from _choice(annotated, words, answer, "is written most often")


def _choice(
    annotated: AnnotatedText, words: Sequence[str], answer: str, what: str
) -> Iterator[Proposal]:
    lines = {
        word: [line for line in annotated.lines if as_written(word).search(line)] for word in words
    }
    if all(lines.values()):
        support = dict.fromkeys(lines[word][0] for word in words)
        named = f'"{words[0]}", "{words[1]}" or "{words[2]}"'
        yield Proposal("global", f"Which {what} in the text: {named}?", (answer,), tuple(support))


def _apart(name: str, names: Counter[str]) -> bool:
    """Say whether no other name holds this one: the count of Ada is not that of Ada Byron."""
    return not any(name != other and name in other for other in names)


def _terms(annotated: AnnotatedText) -> list[str]:
    """Return longer words in lower case that are neither rare nor everywhere."""
    words = re.findall(rf"(?<![\w.-])[a-z]{{{WORD_LETTERS},}}(?![\w-])", annotated.text)
    counts = Counter(words)
    return sorted(word for word, count in counts.items() if count in COUNTS)
