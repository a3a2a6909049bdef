"""Names, numbers and dates in the sentences of a text, found by spelling, without a model.

A word is a name if the text capitalises it inside sentences and does not use it in lower case.
That misses some names, and takes some other words for names. Both cost questions and make none
wrong, since questions ask for what is written.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.text import in_any_spacing, is_prose, split_sentences

_MONTHS = (
    "January February March April May June July August September October November December".split()
)
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_NO_NAMES = frozenset(
    "The This That These Those There They Then And But For Not You Your His Her Him She Its Our"
    " Yes God Heaven Heavens Christmas Chapter Sir Madam".split()
)
TITLES = "Mr Mrs Miss Ms Dr Lord Lady Sir Prof Professor Captain Colonel King Queen Count".split()
NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
        " fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
    if value > 1
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "hundred": "100"}

_MONTH = "|".join(_MONTHS)
# Where a capital is not that of a sentence's first word.
_INSIDE = r"(?:(?<=[a-z,;] )|(?<=\bM[rs]\. )|(?<=\bMrs\. )|(?<=\bDr\. ))"
_CUT_OFF = re.compile(rf"{_INSIDE}(?P<word>[A-Z][a-z]+) \Z")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_TITLE = re.compile(rf"(?:{'|'.join(TITLES)})\.?")
_DATE = re.compile(
    rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? (?:{_MONTH})(?:,? \d{{4}})?\b"
    rf"|\b(?:{_MONTH}) \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}}\b)?"
    rf"|\b(?:{_MONTH}),? \d{{4}}\b"
)
_NUMBER = re.compile(
    r"(?<![\w.,$/:#-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w/:-]|[.,]\d)"
    rf"|(?<![\w-])(?:{'|'.join(NUMBER_WORDS)})(?![\w-])"
)


GAP_WORDS = range(8, 31)  # words of a sentence that a gap is made in


@dataclass(frozen=True, slots=True)
class Mention:
    """A name, number or date in a sentence."""

    text: str
    start: int  # in the sentence
    end: int
    kind: str = "name"  # or number, or date


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of plain words with what it mentions."""

    text: str  # on one line
    names: tuple[Mention, ...]
    values: tuple[Mention, ...]  # numbers and dates

    def gap(self, mention: Mention) -> str:
        """Return the sentence with a gap where the mention is."""
        return f"{self.text[: mention.start]}____{self.text[mention.end :]}"


@dataclass(frozen=True)
class AnnotatedText:
    """A text with its sentences, names, numbers and dates."""

    text: str

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The sentences, prose or not, each on one line."""
        found = (self.text[span.start : span.end] for span in split_sentences(self.text))
        return tuple(" ".join(line.split()) for line in found)

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences that are prose, in order."""
        return tuple(
            Sentence(line, tuple(self._names_in(line)), tuple(_values_in(line)))
            for line in map(_without_odd_quotes, self.lines)
            if is_prose(line)
        )

    @cached_property
    def gap_sentences(self) -> tuple[Sentence, ...]:
        """The sentences that are neither too short nor too long to leave something out."""
        return tuple(one for one in self.sentences if len(one.text.split()) in GAP_WORDS)

    @cached_property
    def names(self) -> Counter[str]:
        """The names in the prose, each with how often the text has it."""
        names = {name.text for sentence in self.sentences for name in sentence.names}
        return Counter({name: self.count(name) for name in sorted(names)})

    def count(self, words: str) -> int:
        """Return how often the words are written in the text."""
        return len(as_written(words).findall(self.text))

    def first(self, words: str) -> int:
        """Return where the words are written first."""
        return min(one.start() for one in as_written(words).finditer(self.text))

    def last(self, words: str) -> int:
        """Return where the words are written last."""
        return max(one.start() for one in as_written(words).finditer(self.text))

    @cached_property
    def _name_words(self) -> frozenset[str]:
        inside: Counter[str] = Counter()
        for line in filter(is_prose, self.lines):
            # After these, a capital may only be that of a new sentence or of speech.
            for found in re.finditer(rf"{_INSIDE}[A-Z][a-z]{{2,}}(?:-[A-Z]?[a-z]+)?\b", line):
                inside[found.group()] += 1
        lower = Counter(_WORD.findall(self.text))
        return frozenset(
            word
            for word, count in inside.items()
            if word not in _NO_NAMES
            and word not in TITLES
            and word not in _MONTHS
            and word not in _DAYS
            and count > 2 * lower[word.lower()]
        )

    def _names_in(self, line: str) -> Iterator[Mention]:
        """Yield the longest runs of name words, with the title in front of them."""
        run: list[re.Match[str]] = []
        for found in (*_WORD.finditer(line), None):
            follows = found and run and line[run[-1].end() : found.start()] == " "
            if found and found.group() in self._name_words and (follows or not run):
                run.append(found)
                continue
            if run:
                yield _named(line, run[0].start(), run[-1].end())
            run = [found] if found and found.group() in self._name_words else []


def _named(line: str, start: int, end: int) -> Mention:
    """Return the name with what belongs to it in front: the title, the March of March Hare."""
    while (found := _CUT_OFF.search(line[:start])) and found["word"] not in _NO_NAMES:
        start = found.start("word")
    before = line[:start].rsplit(" ", 2)
    if len(before) > 1 and not before[-1] and _TITLE.fullmatch(before[-2]):
        start -= len(before[-2]) + 1
    return Mention(line[start:end], start, end)


def _values_in(line: str) -> Iterator[Mention]:
    dates = [Mention(one.group(), *one.span(), "date") for one in _DATE.finditer(line)]
    yield from dates
    for found in _NUMBER.finditer(line):
        if not any(date.start <= found.start() < date.end for date in dates):
            yield Mention(found.group(), *found.span(), "number")


def _without_odd_quotes(line: str) -> str:
    """Return the sentence without a quote at its edge whose partner is in another sentence."""
    marks = re.findall(r"(?<!\w)[\"'\u2018\u201c]|[\"'\u2019\u201d](?!\w)", line)
    if len(marks) % 2 == 0:
        return line
    if line[0] in "\"'\u2018\u201c":
        return line[1:]
    return line[:-1] if line[-1] in "\"'\u2019\u201d" else line


def as_written(words: str) -> re.Pattern[str]:
    """Return the pattern of the words in this spelling, as whole words."""
    return re.compile(rf"(?<!\w){in_any_spacing(words)}(?!\w)")


def gap_question(mention: Mention, sentence: str) -> str:
    """Return the question for what is missing in a sentence with a gap."""
    return f"Which {mention.kind} is missing in this sentence of the text: {sentence}"


def spellings(value: str) -> tuple[str, ...]:
    """Return the ways to write a value that count as right: 3 and three."""
    words = {digits: word for word, digits in NUMBER_WORDS.items()}
    other = NUMBER_WORDS.get(value) or words.get(value)
    plain = value.replace(",", "") if re.fullmatch(r"\d[\d,]*\d(?:\.\d+)?", value) else value
    return tuple(dict.fromkeys(one for one in (value, plain, other) if one))


def one_of_each(sentences: Sequence[Sentence]) -> Iterator[tuple[Sentence, Mention]]:
    """Yield sentences with each name that stands in them once."""
    for sentence in sentences:
        counts = Counter(name.text for name in sentence.names)
        for name in sentence.names:
            alone = len(as_written(name.text).findall(sentence.text)) == 1
            if counts[name.text] == 1 and alone:
                yield sentence, name
