"""What a generated document says of a person, and how it is said and asked.

Templates marked unseen are used by the test split only, for a part of the facts and questions.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.generate import lexicon
from benchmarks.generate.lexicon import Split

UNSEEN_SHARE = 0.15  # of a test document's facts and questions


@dataclass(frozen=True, slots=True)
class Relation:
    """A property of a person, with the templates that state it and ask for it."""

    name: str
    draw: Callable[[random.Random, Split], str]
    sentences: tuple[str, ...]  # {n} the person, {v} the value
    unseen_sentence: str
    questions: tuple[str, ...]
    unseen_question: str
    inverse: str = ""  # names the person by the value, for questions over two facts

    @property
    def wordings(self) -> tuple[tuple[str, ...], str]:
        """The questions, and the unseen one."""
        return self.questions, self.unseen_question


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
        partial(lexicon.number, digits=3),
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
RELATIONS_OF_ANYONE = (*RELATIONS, CLUB, TEACHER)

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
