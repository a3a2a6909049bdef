"""What goes to a model behind a server, and what comes back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a conversation with a model."""

    role: str  # user or assistant
    content: str


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model replied, and what the server says of it; None: it does not say."""

    text: str  # thoughts that came apart stand in front, between <think> and </think>
    cut: bool  # max_tokens came before its end
    prompt_tokens: int | None
    new_tokens: int | None
    first_token_s: float | None = None  # from the request to the first text; of streams alone


class NoReply(Exception):
    """A model gave nothing that can be used."""
