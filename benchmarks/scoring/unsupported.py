"""Find what an answer says and its context does not: numbers and capitalised names.

A check that needs no model and no judge. It sees an invented number or name, not a wrong relation
between things that the context does hold.
"""

import re

_WORD = re.compile(r"[^\W_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W_]+)*")
_POSSESSIVE = re.compile(r"['\N{RIGHT SINGLE QUOTATION MARK}]s?$")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
# What a capital may follow without a name: a colon as well, and every line.
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n")
_NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
}
_OPENERS = frozenset(
    "a according although an and answer as at based because both but by each either every for from "
    "given he her here his however if in instead it its many most neither no none not of on one or "
    "other our she since so some that the their then there these they this those to we what when "
    "where which while who with yes you your".split()
)
"""Words that are capitalised because a sentence starts with them."""


def unsupported(answer: str, *sources: str) -> list[str]:
    """Return the numbers and capitalised names of `answer` that none of `sources` holds.

    Case, possessives and the commas of 12,345 do not count; a number may be written as a word up to
    twelve. The names of people who are only asked about are no invention: give the question as a
    source too.
    """
    source = " ".join(sources)
    known_numbers = set(_numbers(source))
    known_words = {_stem(word) for word in _WORD.findall(source)}
    numbers = [number for number in _numbers(answer) if number not in known_numbers]
    return numbers + [name for name in _names(answer) if _stem(name) not in known_words]


def _numbers(text: str) -> list[str]:
    digits = [match.replace(",", "") for match in _NUMBER.findall(text)]
    return digits + [
        _NUMBER_WORDS[w] for w in map(_stem, _WORD.findall(text)) if w in _NUMBER_WORDS
    ]


def _names(text: str) -> list[str]:
    names: list[str] = []
    for sentence in _SENTENCE_END.split(text):
        words = _WORD.findall(sentence)
        if words and _stem(words[0]) in _OPENERS:
            words = words[1:]
        names += [word for word in words if word[0].isupper() and word != "I"]
    return names


def _stem(word: str) -> str:
    return _POSSESSIVE.sub("", word).lower()
