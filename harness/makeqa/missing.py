"""Rules for questions that the text does not answer.

Either a sentence with a gap in which another name replaces the right one: it has the form of a
question that can be answered, so only the text shows that it cannot. Or a property of a name that
the text never states: each such question lists the words with which a text would state it, and is
asked only where none of them is in the text.
"""

import random
import re
from collections.abc import Iterator

from harness.makeqa.checks import holds
from harness.makeqa.mentions import (
    TITLES,
    AnnotatedText,
    Mention,
    Sentence,
    gap_question,
)
from harness.makeqa.proposals import Proposal

_PERSON = (
    ("When was {} born?", "born|birth"),
    ("What is the telephone number of {}?", "phone|call(?:ed|s)? up"),
    ("How tall is {}?", "tall|height|feet|foot|inch|metres?"),
    ("How much does {} earn in a year?", "earn|salar|wage|income|paid|pay"),
    ("Which university did {} go to?", "universit|college|student|stud(?:y|ied)|degree"),
    ("What is the name of {}'s mother?", "mother|mamma|parents?"),
    ("What is the name of {}'s dog?", "dogs?|hound|puppy|terrier"),
    ("On which day did {} marry?", "marr|wedding|wife|husband|bride"),
    ("Which instrument does {} play?", "instrument|violin|piano|flute|guitar|fiddle|play(?:s|ed)"),
    ("Which languages does {} speak?", "languages?|speaks?|french|german|english|latin"),
    ("In which street does {} live?", "street|road|avenue|lane|square"),
    ("What is {} allergic to?", "allerg"),
    ("Which newspaper does {} read?", "newspaper|paper|journal|gazette|times"),
    ("How many brothers has {}?", "brothers?|sisters?|siblings?"),
)
_ANYTHING = (
    ("What does the name {} mean?", "means?|meaning|meant"),
    ("Which song was written about {}?", "songs?|sung|sing|music"),
    ("Which film was made about {}?", "films?|movies?|cinema"),
    ("Which poet wrote about {}?", "poets?|poems?|poetry|verses?"),
    ("In which museum is there a picture of {}?", "museums?|pictures?|portraits?|paint|gallery"),
    ("Which prize was given to {}?", "prizes?|awards?|medals?|won|win"),
    ("Which ship bears the name of {}?", "ships?|boats?|vessels?|steamers?"),
)
_VERBS = "said|says|cried|asked|replied|answered|thought|went|looked|took|came|began|knew|felt"
_PEOPLES = re.compile(r"[A-Z][a-z]+(?:ish|ese|ian|can|man|men)|French|Dutch|Greek|Welsh")


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


def attributes(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions about names, each about something of which the text has no word."""
    names = sorted(name for name in annotated.names if not _PEOPLES.fullmatch(name))
    names = rng.sample(names, len(names))
    shift = rng.randrange(len(_PERSON))
    for turn in range(len(_PERSON)):
        for place, name in enumerate(names):
            forms = _PERSON if is_person(annotated, name) else _ANYTHING
            form, words = forms[(place + turn + shift) % len(forms)]
            if not re.search(rf"\b(?:{words})", annotated.text, re.I):
                question = form.format(_with_article(annotated, name))
                yield Proposal("unanswerable", question, (), ())


def _with_article(annotated: AnnotatedText, name: str) -> str:
    """Return `the Hatter` where the text mostly says so."""
    return f"the {name}" if 2 * annotated.count(f"the {name}") > annotated.names[name] else name


def is_person(annotated: AnnotatedText, name: str) -> bool:
    """Say whether a name has a title, or says or does something as persons do."""
    if name.split()[0].rstrip(".") in TITLES:
        return True
    form = re.escape(name)
    return bool(re.search(rf"\b{form} (?:{_VERBS})\b|\b(?:{_VERBS}) {form}\b", annotated.text))
