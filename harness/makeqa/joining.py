"""Two sentences joined by a name: the gap of one names it, the other has what is asked for."""

import random
from typing import Literal

from harness.mentions import AnnotatedText, Mention, Sentence, one_of_each

_ASKED = {
    "value": "Which number or date does the text give in another sentence with that name?",
    "name": "Which other name stands beside that name in another sentence of the text?",
}


def joined_question(sentence: Sentence, name: Mention, asked: Literal["value", "name"]) -> str:
    """Return the question for what the other sentence has."""
    return f"Take the name that is missing here: {sentence.gap(name)} {_ASKED[asked]}"


def gaps(annotated: AnnotatedText, rng: random.Random) -> list[tuple[Sentence, Mention]]:
    """Return sentences with a name to leave out, in any order."""
    found = list(one_of_each(annotated.gap_sentences))
    return rng.sample(found, len(found))


def others_with(annotated: AnnotatedText, sentence: Sentence, name: Mention) -> list[Sentence]:
    """Return the other sentences with a name; none if the text has it outside of prose too."""
    others = [
        other
        for other in annotated.sentences
        if other.text != sentence.text and any(one.text == name.text for one in other.names)
    ]
    return others if annotated.names[name.text] <= len(others) + 1 else []
