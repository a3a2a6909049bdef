"""Write documents about people, with questions whose answers are known.

A document states facts about a few people (home, job, belongings, contests, rooms, clubs,
teachers) in varied sentences, some of them twice in other words, shuffled together with filler
of low information. The number of facts and the amount of filler are independent options, since
compression is limited by facts and the other backends by length.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.generate import lexicon
from benchmarks.generate.lexicon import Split
from benchmarks.generate.questions import global_, lookup, reasoning, unanswerable
from benchmarks.generate.relations import CLUB, RELATIONS, TEACHER, UNSEEN_SHARE, Fact, Relation
from harness.api import Question


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its questions."""

    text: str
    questions: tuple[Question, ...]  # answerable
    absent: tuple[Question, ...]  # the text does not hold the answer


def write_document(
    rng: random.Random,
    *,
    split: Split,
    people: int = 5,
    facts: int = 3,
    filler: int = 12,
    restated: float = 0.25,
) -> Document:
    """Write a document of `people` with `facts` each, and every question it can answer.

    Args:
        rng: the sample's own generator.
        split: which half of words, filler and templates to use.
        people: number of people, 1 to 9 (a count is one digit).
        facts: relations per person besides club and teacher, 1 to 5.
        filler: number of filler sentences, all about one topic.
        restated: share of the facts that are stated a second time in other words.
    """
    topic = rng.choice(list(lexicon.TOPICS))
    stated = _draw_facts(rng, split, people=people, facts=facts, restated=restated)
    rng.shuffle(stated)
    sentences = [fact.sentences[0] for fact in stated]
    extra = [sentence for fact in stated for sentence in fact.sentences[1:]]
    extra += [lexicon.filler_sentence(rng, split, topic) for _ in range(filler)]
    rng.shuffle(extra)
    for sentence in extra:
        sentences.insert(rng.randint(0, len(sentences)), sentence)
    questions = [lookup(rng, split, fact) for fact in stated]
    questions += reasoning(rng, split, stated)
    questions += global_(rng, split, stated, topic=topic if filler else "")
    rng.shuffle(questions)
    numbered = [replace(question, id=f"q{i}") for i, question in enumerate(questions)]
    absent = [
        replace(question, id=f"u{i}")
        for i, question in enumerate(unanswerable(rng, split, stated, len(stated)))
    ]
    return Document(" ".join(sentences), tuple(numbered), tuple(absent))


def _draw_facts(
    rng: random.Random, split: Split, *, people: int, facts: int, restated: float
) -> list[Fact]:
    names = _distinct(rng, split, lexicon.person, people)
    values = {relation.name: _distinct(rng, split, relation.draw, people) for relation in RELATIONS}
    clubs = _distinct(rng, split, lexicon.club, 2)
    minority = rng.randrange((people - 1) // 2 + 1)  # so that one club has most members
    members = [clubs[0]] * (people - minority) + [clubs[1]] * minority
    rng.shuffle(members)
    facts_of_all = []
    for i, name in enumerate(names):
        relations = rng.sample(RELATIONS, min(facts, len(RELATIONS)))
        stated = [(relation, values[relation.name][i]) for relation in relations]
        stated.append((CLUB, members[i]))
        if people > 1 and rng.random() < 0.5:
            stated.append((TEACHER, rng.choice([other for other in names if other != name])))
        facts_of_all += [_state(rng, split, name, r, value, restated) for r, value in stated]
    return facts_of_all


def _distinct(
    rng: random.Random, split: Split, draw: Callable[[random.Random, Split], str], count: int
) -> list[str]:
    values: dict[str, None] = {}
    while len(values) < count:
        values[draw(rng, split)] = None
    return list(values)


def _state(
    rng: random.Random, split: Split, name: str, relation: Relation, value: str, restated: float
) -> Fact:
    unseen = split == "test" and rng.random() < UNSEEN_SHARE
    if unseen:
        forms = [relation.unseen_sentence]
    else:
        forms = rng.sample(relation.sentences, 2 if rng.random() < restated else 1)
    sentences = (_upper_first(form.format(n=name, v=value)) for form in forms)
    return Fact(name, relation, value, tuple(sentences), unseen)


def _upper_first(text: str) -> str:
    text = text[0].upper() + text[1:]
    for vowel in "aeio":
        text = text.replace(f" a {vowel}", f" an {vowel}").replace(f"A {vowel}", f"An {vowel}")
    return text
