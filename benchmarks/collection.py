"""A collection of written documents, and the choice of questions about each of them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, zip_longest
from typing import Literal

from benchmarks.documents import Document, write_document
from benchmarks.lexicon import Split
from harness.api import Question

Template = Literal["any", "seen", "unseen"]
"""Which sentence templates a question may depend on; training knows the seen ones only."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents of one size, each decided by the seed and its own id alone."""

    split: Split
    documents: int | None  # none: without end
    people: int
    facts: int
    filler: int  # sentences

    def __post_init__(self) -> None:
        """Refuse what no document can have."""
        limits = {"documents": (1, None), "people": (1, 9), "facts": (1, 5), "filler": (0, None)}
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if value is None:
                continue
            if value < least or (most is not None and value > most):
                allowed = f"at least {least}" if most is None else f"between {least} and {most}"
                raise ValueError(f"{name}={value} must be {allowed}")

    def write(self, name: str, seed: int) -> Iterator[tuple[str, Document]]:
        """Yield documents with their ids, `name-0`, `name-1`, ..."""
        for index in count() if self.documents is None else range(self.documents):
            document_id = f"{name}-{index}"
            yield (
                document_id,
                write_document(
                    random.Random(f"{seed}/{document_id}"),
                    split=self.split,
                    people=self.people,
                    facts=self.facts,
                    filler=self.filler,
                ),
            )


@dataclass(frozen=True, slots=True)
class Choice:
    """Which questions of a document are asked."""

    questions: int | None  # none: all
    template: Template
    split: Split

    def __post_init__(self) -> None:
        """Refuse choices that leave nothing to ask."""
        if self.questions is not None and self.questions < 1:
            raise ValueError(f"questions={self.questions} must be at least 1")
        if self.template == "unseen" and self.split == "train":
            raise ValueError("template=unseen has no questions in split=train; give split=test")

    def among(self, questions: Sequence[Question]) -> list[Question]:
        """Return the questions that are asked, one of each kind in turn."""
        kinds: dict[str, list[Question]] = {}
        for question in questions:
            if self.template in ("any", question.slices["template"]):
                kinds.setdefault(question.slices["kind"], []).append(question)
        turns = chain.from_iterable(zip_longest(*kinds.values()))
        return [question for question in turns if question is not None][: self.questions]
