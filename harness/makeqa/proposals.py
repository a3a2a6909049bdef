"""What a teacher proposes: questions about a context, not yet checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.makeqa.cutting import Context
from harness.served.messages import Message

KINDS = ("lookup", "global", "reasoning", "unanswerable")
"""One fact; the whole text; two facts; what the text does not say."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A question with its answer and supporting sentences, as its teacher sees them."""

    kind: str
    question: str
    answers: tuple[str, ...]  # empty: the text does not say
    support: tuple[str, ...]  # sentences of the text


@dataclass(frozen=True, slots=True)
class Proposals:
    """The result of asking for questions once."""

    items: tuple[Proposal, ...]
    malformed: int = 0  # parts of the reply that are no question


class Proposer(Protocol):
    """A source of questions about a context."""

    def propose(self, context: Context, wanted: Mapping[str, int]) -> Proposals:
        """Return questions, as many of each kind as wanted if there are so many.

        Raises:
            NoReply: none came this time, though one may come another time.
        """


class Teacher(Protocol):
    """A language model that replies to messages."""

    def ask(self, messages: Sequence[Message]) -> str:
        """Return its reply.

        Raises:
            NoReply: it was reached, and its reply is empty.
            UserError: it cannot be reached, or refuses.
        """


class ClosedBook(Protocol):
    """The target model, asked without the document."""

    def answer_without_document(self, questions: Sequence[str]) -> list[str]:
        """Return what it says to each question."""
