"""The backends of a model behind a server: what its prompts show of the context.

A server holds KV entries as it likes, so that here a context is a text, sent anew with every
question. What it keeps of it between questions (prefix caching) shows in the times alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.api import Generation, ServedModel, Shown


@dataclass
class Full:
    """The whole context in every prompt.

    Args:
        model: handed in by the harness.
    """

    model: ServedModel

    def prepare(self, context: str) -> "ShownContext":
        """Keep the text."""
        return ShownContext(self.model, context)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing: the options say all."""
        return {}

    def close(self) -> None:
        """Do nothing: the server is the user's."""


@dataclass
class ClosedBook(Full):
    """The question without its context.

    Args:
        model: handed in by the harness.
    """

    def prepare(self, context: str) -> "ShownContext":  # noqa: ARG002 - the point of this backend
        """Keep nothing."""
        return ShownContext(self.model, "")


@dataclass
class ShownContext:
    """A text that stands for the context in every prompt."""

    model: ServedModel
    text: str
    evidence: tuple[str, ...] = ()  # its parts, if they are not the whole context
    held_bytes: int | None = None  # what the server keeps is not known

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Ask all questions at once."""
        requests = [Shown(question, self.text, self.evidence) for question in questions]
        return self.model.answer(
            requests, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens
        )

    def close(self) -> None:
        """Do nothing: the server keeps what it likes."""
