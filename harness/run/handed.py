"""Questions that the harness makes of a context, for backends that learn from questions.

Each is a sentence of the context with a gap where it has a name, a number or a date. They follow
from the context alone: the questions that will be asked, and their answers, are not known here. A
validity check looks at what was handed over.
"""

from collections import Counter
from collections.abc import Iterator
from typing import cast

from harness.api import Backend, LearningBackend, PreparedContext, Question
from harness.mentions import AnnotatedText, Mention, Sentence

ASKED = "Fill the gap: {}"  # in no other words, so that a suite's questions can be told apart


def prepare(backend: Backend, context: str) -> PreparedContext:
    """Have a backend read a context, and hand it questions if it wants them."""
    if not getattr(backend, "wants_questions", False):
        return backend.prepare(context)
    return cast(LearningBackend, backend).prepare(context, questions_of(context))


def questions_of(context: str) -> tuple[Question, ...]:
    """Return a question for each name, number and date that its sentence has once."""
    found = (pair for one in AnnotatedText(context).sentences for pair in _gaps(one))
    return tuple(
        Question(
            str(number),
            ASKED.format(sentence.gap(mention)),
            (mention.text,),
            support=(sentence.text,),
        )
        for number, (sentence, mention) in enumerate(found, start=1)
    )


def _gaps(sentence: Sentence) -> Iterator[tuple[Sentence, Mention]]:
    mentions = (*sentence.names, *sentence.values)
    counts = Counter(mention.text for mention in mentions)
    return ((sentence, mention) for mention in mentions if counts[mention.text] == 1)
