"""The questions that a generated document answers, and those that it does not.

A question that depends on an unseen template, its own or that of a fact, carries
`template=unseen`.
"""

import random
from collections import Counter
from collections.abc import Sequence

from benchmarks.generate import lexicon
from benchmarks.generate.lexicon import Split
from benchmarks.generate.relations import (
    CLUB,
    GLOBAL_QUESTIONS,
    RELATIONS_OF_ANYONE,
    TEACHER,
    UNSEEN_SHARE,
    Fact,
)
from harness.api import Question


def _ask(
    rng: random.Random,
    split: Split,
    wordings: tuple[Sequence[str], str],
    *,
    of_unseen: bool = False,
) -> tuple[str, str]:
    """Choose a wording; return it with the value of the `template` slice.

    Args:
        rng: of the document.
        split: only test has unseen wordings.
        wordings: the seen ones, and the unseen one.
        of_unseen: whether a fact that the question needs is stated in an unseen template.
    """
    forms, unseen_form = wordings
    unseen = split == "test" and rng.random() < UNSEEN_SHARE
    form = unseen_form if unseen else rng.choice(forms)
    return form, "unseen" if unseen or of_unseen else "seen"


def lookup(rng: random.Random, split: Split, fact: Fact) -> Question:
    """Ask for one fact."""
    form, template = _ask(rng, split, fact.relation.wordings, of_unseen=fact.unseen)
    return Question(
        "",
        form.format(n=fact.person),
        (fact.value,),
        {"kind": "lookup", "template": template},
        fact.sentences[:1],
    )


def reasoning(rng: random.Random, split: Split, facts: Sequence[Fact]) -> list[Question]:
    """Ask for one fact by way of another: through a teacher, or through a unique value."""
    by_person: dict[str, list[Fact]] = {}
    for fact in facts:
        by_person.setdefault(fact.person, []).append(fact)
    questions = []
    for first in facts:
        if first.relation is TEACHER:
            second = rng.choice(by_person[first.value])
            described = f"the teacher of {first.person}"
        elif first.relation.inverse:
            second = rng.choice(by_person[first.person])
            described = first.relation.inverse.format(v=first.value)
        else:
            continue
        if second is first or second.relation is TEACHER:
            continue
        of_unseen = first.unseen or second.unseen
        form, template = _ask(rng, split, second.relation.wordings, of_unseen=of_unseen)
        slices = {"kind": "reasoning", "template": template}
        support = (first.sentences[0], second.sentences[0])
        text = form.format(n=described)
        questions.append(Question("", text, (second.value,), slices, support))
    return questions


def global_(
    rng: random.Random, split: Split, facts: Sequence[Fact], *, topic: str
) -> list[Question]:
    """Ask for what the whole text says: its topic, a count, the most frequent."""
    clubs = Counter(fact.value for fact in facts if fact.relation is CLUB)
    answers = {
        "people": str(len({fact.person for fact in facts})),
        "club": clubs.most_common(1)[0][0],
    }
    if topic:
        answers["topic"] = topic
    questions = []
    for key, answer in answers.items():
        form, template = _ask(rng, split, GLOBAL_QUESTIONS[key])
        slices = {"kind": "global", "template": template}
        questions.append(Question("", form, (answer,), slices))
    return questions


def unanswerable(
    rng: random.Random, split: Split, facts: Sequence[Fact], count: int
) -> list[Question]:
    """Ask for what the text does not say: of a person in it, or of a stranger."""
    names = sorted({fact.person for fact in facts})
    known = {(fact.person, fact.relation.name) for fact in facts}
    questions: dict[str, Question] = {}
    for _ in range(4 * count):
        stranger = rng.random() < 0.3
        name = lexicon.person(rng, split) if stranger else rng.choice(names)
        relation = rng.choice(RELATIONS_OF_ANYONE)
        if (stranger and name in names) or (name, relation.name) in known:
            continue
        form, template = _ask(rng, split, relation.wordings)
        text = form.format(n=name)
        slices = {"kind": "absent", "template": template}
        questions.setdefault(text, Question("", text, (), slices))
        if len(questions) == count:
            break
    return list(questions.values())
