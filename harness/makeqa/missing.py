"""Rules for questions that the text does not answer.

Each has the wording of questions that the text does answer, so that only the text shows that it
cannot be: questions in words of their own would teach to abstain by form. A sentence with a gap in
which another name replaces the right one; a gap whose name stands in no sentence with what is asked
for; who says what nobody says.
"""

import random
import re
from collections.abc import Iterator

from harness.makeqa.checks import holds
from harness.makeqa.joining import gaps, joined_question, others_with
from harness.makeqa.proposals import Proposal
from harness.makeqa.speech import WORDS, Speech, find_speech
from harness.mentions import (
    NUMBER_WORDS,
    TITLES,
    AnnotatedText,
    Mention,
    Sentence,
    gap_question,
)

# Of the contexts: few sentences have a number, so that the wording would mostly have no answer.
JOINED = 0.25
_VERBS = "said|says|cried|asked|replied|answered|thought|went|looked|took|came|began|knew|felt"
_QUOTES = re.compile(r"[\"'`\u2018-\u201f\u00ab\u00bb]")
_NUMBERS = re.compile(rf"\d|\b(?:{'|'.join(NUMBER_WORDS)})\b", re.I)


def swapped(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Yield sentences of the text with a gap and another name: nothing in it fills the gap."""
    found = [
        (sentence, gap, name)
        for sentence in annotated.gap_sentences
        for gap in (*sentence.names, *sentence.values)
        for name in sentence.names
        if not (gap.start < name.end and name.start < gap.end)
    ]
    for sentence, gap, name in rng.sample(found, len(found)):
        others = [
            other
            for other in sorted(annotated.names)
            if not holds(sentence.text, other)
            and not holds(other, name.text)
            and is_person(annotated, other) == is_person(annotated, name.text)
        ]
        if others:
            made = _swap(sentence, gap, name, rng.choice(others))
            yield Proposal("unanswerable", gap_question(gap, made), (), ())


def _swap(sentence: Sentence, gap: Mention, name: Mention, other: str) -> str:
    """Return the sentence with a gap, and another name in the place of one."""
    text = sentence.text
    for mention, put in sorted([(gap, "____"), (name, other)], key=lambda one: -one[0].start):
        text = f"{text[: mention.start]}{put}{text[mention.end :]}"
    return text


def joined(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Yield gaps whose name has other sentences, none of which holds what is asked for."""
    if rng.random() > JOINED:
        return
    for sentence, name in gaps(annotated, rng):
        others = others_with(annotated, sentence, name)
        if not others:
            continue
        if not any(_NUMBERS.search(other.text) for other in others):
            yield Proposal("unanswerable", joined_question(sentence, name, "value"), (), ())
        if all(one.text == name.text for other in others for one in other.names):
            yield Proposal("unanswerable", joined_question(sentence, name, "name"), (), ())


def narrated(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Yield sentences of the narrator, and ask who says them; for texts with speech alone."""
    if not any(find_speech(annotated)):
        return
    told = [one.text.rstrip(".!?\u2026") for one in annotated.sentences if _is_told(annotated, one)]
    for words in rng.sample(told, len(told)):
        yield Proposal("unanswerable", Speech(words, "", "").question, (), ())


def _is_told(annotated: AnnotatedText, sentence: Sentence) -> bool:
    """Say whether a sentence is in a paragraph without speech, and of the length of speech."""
    paragraphs = (" ".join(one.split()) for one in re.split(r"\n\s*\n", annotated.text))
    around = [one for one in paragraphs if sentence.text in one]
    told = bool(around) and not any(_QUOTES.search(one) for one in around)
    return told and len(sentence.text.split()) in WORDS


def is_person(annotated: AnnotatedText, name: str) -> bool:
    """Say whether a name has a title, or says or does something as persons do."""
    if name.split()[0].rstrip(".") in TITLES:
        return True
    form = re.escape(name)
    return bool(re.search(rf"\b{form} (?:{_VERBS})\b|\b(?:{_VERBS}) {form}\b", annotated.text))
