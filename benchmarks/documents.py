"""Write documents about people, with questions whose answers are known.

A document tells facts about a few people (home, job, belongings, contests, rooms, clubs,
teachers) in varied sentences, some of them twice in other words, shuffled together with filler
of low information. The number of facts and the amount of filler are independent options, since
compression is limited by facts and the other arms by length.

Sentence and question templates marked unseen are used by the test split only, for a part of the
facts; questions that depend on one carry `template=unseen`.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks import lexicon
from benchmarks.lexicon import Split
from harness.api import Question

UNSEEN_SHARE = 0.15  # of a test document's facts and questions


@dataclass(frozen=True, slots=True)
class Relation:
    """What can be said of a person, and how it is said and asked."""

    name: str
    draw: Callable[[random.Random, Split], str]
    sentences: tuple[str, ...]  # {n} the person, {v} the value
    unseen_sentence: str
    questions: tuple[str, ...]
    unseen_question: str
    inverse: str = ""  # names the person by the value, for questions over two facts


def _room(rng: random.Random, split: Split) -> str:
    return lexicon.number(rng, split, 3)


RELATIONS = (
    Relation(
        "home",
        lexicon.place,
        (
            "{n} lives in {v}.",
            "The home of {n} is in {v}.",
            "{n} has a house in {v}.",
            "{v} is the town where {n} lives.",
        ),
        "{n} is settled in {v}.",
        ("Where does {n} live?", "In which town does {n} live?", "What is the home town of {n}?"),
        "Which town does {n} call home?",
        "the person who lives in {v}",
    ),
    Relation(
        "job",
        lexicon.job,
        (
            "{n} works as a {v}.",
            "{n} is a {v} by trade.",
            "The job of {n} is {v}.",
            "{n} earns a living as a {v}.",
        ),
        "By profession {n} is a {v}.",
        ("What is the job of {n}?", "What does {n} work as?", "What is the trade of {n}?"),
        "How does {n} earn a living?",
        "the {v}",
    ),
    Relation(
        "item",
        lexicon.item,
        (
            "{n} owns a {v}.",
            "The {v} belongs to {n}.",
            "{n} keeps a {v}.",
            "{n} is the owner of the {v}.",
        ),
        "A {v} is in the hands of {n}.",
        ("What does {n} own?", "What thing belongs to {n}?", "What does {n} keep?"),
        "Which thing is {n} the owner of?",
        "the owner of the {v}",
    ),
    Relation(
        "event",
        lexicon.event,
        (
            "{n} won the {v}.",
            "The winner of the {v} was {n}.",
            "{n} came first in the {v}.",
            "The {v} was won by {n}.",
        ),
        "First in the {v} was {n}.",
        ("What did {n} win?", "Which contest did {n} win?", "What was {n} the winner of?"),
        "In which contest did {n} come first?",
        "the winner of the {v}",
    ),
    Relation(
        "room",
        _room,
        (
            "{n} has room {v}.",
            "The room of {n} is {v}.",
            "{n} stays in room {v}.",
            "Room {v} is kept for {n}.",
        ),
        "Room {v} belongs to {n}.",
        ("Which room has {n}?", "What is the room of {n}?", "In which room does {n} stay?"),
        "What is the number of the room kept for {n}?",
    ),
)
CLUB = Relation(
    "club",
    lexicon.club,
    (
        "{n} is in the {v} club.",
        "{n} joined the {v} club.",
        "The {v} club counts {n} as a member.",
        "{n} plays for the {v} club.",
    ),
    "A member of the {v} club is {n}.",
    ("Which club is {n} in?", "What is the club of {n}?", "Which club did {n} join?"),
    "For which club does {n} play?",
)
TEACHER = Relation(
    "teacher",
    lexicon.person,
    (
        "{v} is the teacher of {n}.",
        "The teacher of {n} is {v}.",
        "{n} learns from {v}.",
        "{n} is taught by {v}.",
    ),
    "As a teacher {n} has {v}.",
    ("Who is the teacher of {n}?", "Who teaches {n}?", "From whom does {n} learn?"),
    "By whom is {n} taught?",
)
SAID_OF_ANYONE = (*RELATIONS, CLUB, TEACHER)

GLOBAL_QUESTIONS = {
    "topic": (
        ("What is the text mostly about?", "What is the main topic?"),
        "What subject fills most of the text?",
    ),
    "people": (
        ("How many people are told of?", "What is the number of people?"),
        "How many persons does the text tell of?",
    ),
    "club": (
        ("Which club has the most members?", "What is the largest club?"),
        "Which club is the most frequent?",
    ),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One relation of one person, and the sentences that state it."""

    person: str
    relation: Relation
    value: str
    sentences: tuple[str, ...]
    unseen: bool  # stated in a held-out template only


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
    order: str = "shuffled",
) -> Document:
    """Write a document of `people` with `facts` each, and every question it can answer.

    Args:
        rng: the sample's own generator.
        split: which half of words, filler and templates to use.
        people: number of people, 1 to 9 (a count is one digit).
        facts: relations per person besides club and teacher, 1 to 5.
        filler: number of filler sentences, all about one topic.
        restated: share of the facts told a second time in other words.
        order: `shuffled`, or `grouped`: the facts of a person stand together.
    """
    topic = rng.choice(list(lexicon.TOPICS))
    told = _draw_facts(rng, split, people=people, facts=facts, restated=restated)
    if order == "shuffled":
        rng.shuffle(told)
    sentences = [fact.sentences[0] for fact in told]
    extra = [sentence for fact in told for sentence in fact.sentences[1:]]
    extra += [lexicon.filler_sentence(rng, split, topic) for _ in range(filler)]
    rng.shuffle(extra)
    for sentence in extra:
        sentences.insert(rng.randint(0, len(sentences)), sentence)
    questions = [_lookup(rng, split, fact) for fact in told]
    questions += _reasoning(rng, split, told)
    questions += _global(rng, split, told, topic=topic if filler else "")
    rng.shuffle(questions)
    numbered = [replace(question, id=f"q{i}") for i, question in enumerate(questions)]
    absent = [
        replace(question, id=f"u{i}")
        for i, question in enumerate(_unanswerable(rng, split, told, len(told)))
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
    told = []
    for i, name in enumerate(names):
        relations = rng.sample(RELATIONS, min(facts, len(RELATIONS)))
        stated = [(relation, values[relation.name][i]) for relation in relations]
        stated.append((CLUB, members[i]))
        if people > 1 and rng.random() < 0.5:
            stated.append((TEACHER, rng.choice([other for other in names if other != name])))
        told += [_state(rng, split, name, r, value, restated) for r, value in stated]
    return told


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


def _ask(
    rng: random.Random, split: Split, forms: Sequence[str], unseen_form: str, *, of_unseen: bool
) -> tuple[str, str]:
    """Choose a wording; return it with the value of the `template` slice."""
    unseen = split == "test" and rng.random() < UNSEEN_SHARE
    form = unseen_form if unseen else rng.choice(forms)
    return form, "unseen" if unseen or of_unseen else "seen"


def _lookup(rng: random.Random, split: Split, fact: Fact) -> Question:
    relation = fact.relation
    form, template = _ask(
        rng, split, relation.questions, relation.unseen_question, of_unseen=fact.unseen
    )
    return Question(
        "",
        form.format(n=fact.person),
        (fact.value,),
        {"kind": "lookup", "template": template},
        fact.sentences[:1],
    )


def _reasoning(rng: random.Random, split: Split, told: Sequence[Fact]) -> list[Question]:
    """Ask for one fact by way of another: through a teacher, or through a unique value."""
    by_person: dict[str, list[Fact]] = {}
    for fact in told:
        by_person.setdefault(fact.person, []).append(fact)
    questions = []
    for first in told:
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
        relation = second.relation
        form, template = _ask(
            rng,
            split,
            relation.questions,
            relation.unseen_question,
            of_unseen=first.unseen or second.unseen,
        )
        slices = {"kind": "reasoning", "template": template}
        support = (first.sentences[0], second.sentences[0])
        text = form.format(n=described)
        questions.append(Question("", text, (second.value,), slices, support))
    return questions


def _global(
    rng: random.Random, split: Split, told: Sequence[Fact], *, topic: str
) -> list[Question]:
    clubs = Counter(fact.value for fact in told if fact.relation is CLUB)
    answers = {
        "people": str(len({fact.person for fact in told})),
        "club": clubs.most_common(1)[0][0],
    }
    if topic:
        answers["topic"] = topic
    questions = []
    for key, answer in answers.items():
        forms, unseen_form = GLOBAL_QUESTIONS[key]
        form, template = _ask(rng, split, forms, unseen_form, of_unseen=False)
        slices = {"kind": "global", "template": template}
        questions.append(Question("", form, (answer,), slices))
    return questions


def _unanswerable(
    rng: random.Random, split: Split, told: Sequence[Fact], count: int
) -> list[Question]:
    """Ask for what is not told: another fact of a person in the text, or of a stranger."""
    names = sorted({fact.person for fact in told})
    known = {(fact.person, fact.relation.name) for fact in told}
    questions: dict[str, Question] = {}
    for _ in range(4 * count):
        stranger = rng.random() < 0.3
        name = lexicon.person(rng, split) if stranger else rng.choice(names)
        relation = rng.choice(SAID_OF_ANYONE)
        if (stranger and name in names) or (name, relation.name) in known:
            continue
        form, template = _ask(
            rng, split, relation.questions, relation.unseen_question, of_unseen=False
        )
        text = form.format(n=name)
        slices = {"kind": "absent", "template": template}
        questions.setdefault(text, Question("", text, (), slices))
        if len(questions) == count:
            break
    return list(questions.values())
