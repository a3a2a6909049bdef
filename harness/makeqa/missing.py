"""Rules for questions that the text does not answer: something of a name that it never tells.

Each question has the words with which a text would tell it. It is asked only where none of them
is in the text.
"""

import random
import re
from collections.abc import Iterator

from harness.makeqa.mentions import TITLES, Reading
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
_THING = (
    ("Who invented {}?", "invent|discover|creat|devis|author|found"),
    ("How much does {} cost?", "cost|price|euro|dollar|pound|free|cheap|expensive|[$\u20ac]"),
    ("Which company owns {}?", "compan|own|corporation|inc|owned"),
    ("How many people work on {}?", "people|team|staff|employ|contributor|maintainer"),
    ("Where was {} shown in public for the first time?", "public|exhibit|conference|announce"),
    ("Which colour does the sign of {} have?", "colou?r|red|blue|green|logo|sign"),
    ("Who translated {} into Spanish?", "translat|spanish"),
)
_VERBS = "said|says|cried|asked|replied|answered|thought|went|looked|took|came|began|knew|felt"


def attributes(reading: Reading, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions about names: of persons and of things, each about what is told of neither."""
    names = sorted(reading.names)
    names = rng.sample(names, len(names))
    for turn in range(len(_PERSON)):
        for place, name in enumerate(names):
            forms = _PERSON if is_person(reading, name) else _THING
            form, words = forms[(place + turn) % len(forms)]
            if not re.search(rf"\b(?:{words})", reading.text, re.I):
                yield Proposal("unanswerable", form.format(name), (), ())


def is_person(reading: Reading, name: str) -> bool:
    """Say whether a name has a title, or says or does something as persons do."""
    if name.split()[0].rstrip(".") in TITLES:
        return True
    form = re.escape(name)
    return bool(re.search(rf"\b{form} (?:{_VERBS})\b|\b(?:{_VERBS}) {form}\b", reading.text))
