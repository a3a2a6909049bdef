"""The models of `gist-bench make-qa`: a local teacher, and the target asked without a document.

They are loaded at their first use: a finished command needs none. A model in both roles is loaded
once.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

from harness.api import Tokenizer, prompt_with
from harness.errors import UserError
from harness.served.messages import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from gist.decode import KVState
    from gist.models.model import LanguageModel

REPLY_TOKENS = 1536  # a dozen questions with their evidence
MIN_REPLY_TOKENS = 128
ANSWER_TOKENS = 32
BATCH = 8

_TURN = "[[turn-{}-goes-here]]"
_TURNS = re.compile(r"\[\[turn-(\d+)-goes-here\]\]")


@dataclass
class Models:
    """Loads models by name, each once."""

    device: str | None
    load_in_4bit: bool = field(kw_only=True)
    shots: int = field(default=0, kw_only=True)
    _loaded: "dict[str, LanguageModel]" = field(default_factory=dict, init=False, repr=False)

    def facts(self, name: str) -> tuple[Tokenizer, int]:
        """Return a model's tokenizer and positions, for which its weights are not needed."""
        from gist.models.architecture import positions_of
        from gist.models.loading import read_facts
        from gist.models.prompt import TextTokenizer

        config, tokenizer = read_facts(name)
        return TextTokenizer(tokenizer), positions_of(config)

    def teacher(self, name: str) -> "LocalTeacher":
        """Return a model as a teacher.

        Raises:
            UserError: there is no such model.
        """
        self.facts(name)  # found before anything is written
        return LocalTeacher(partial(self._load, name))

    def closed_book(self, name: str) -> "LocalClosedBook":
        """Return a model to be asked without a document."""
        return LocalClosedBook(partial(self._load, name))

    def _load(self, name: str) -> "LanguageModel":
        if name not in self._loaded:
            from gist.models.loading import load_model

            self._loaded[name] = load_model(
                name,
                prompt_with(self.shots),
                device=self.device,
                load_in_4bit=self.load_in_4bit,
            )
            if self._loaded[name].random_weights:
                raise UserError(
                    f"{name} has random weights and knows nothing. As --model it needs "
                    "--no-closed-book-filter; it cannot be a teacher."
                )
        return self._loaded[name]


@dataclass(frozen=True)
class LocalTeacher:
    """A model on this machine as a teacher, greedy."""

    load: "Callable[[], LanguageModel]"
    reply_tokens: int = REPLY_TOKENS

    def ask(self, messages: Sequence[Message]) -> str:
        """Return the model's reply.

        Raises:
            UserError: the model has too few positions for the messages and a reply.
        """
        from gist.decode import ask, read

        lm = self.load()
        ids = list(chat_ids(lm, messages))
        room = lm.max_positions - len(ids) - 1
        if room < MIN_REPLY_TOKENS:
            raise UserError(
                f"the teacher {lm.name} has {lm.max_positions} positions, and the text with its "
                f"instruction {len(ids)} tokens: too few are left to reply. Lower --max-tokens."
            )
        state = read(lm, ids[:-1])
        (reply,) = ask(lm, state, [ids[-1:]], max_new_tokens=min(room, self.reply_tokens))
        return lm.tokenizer.decode(reply)


@dataclass(frozen=True)
class LocalClosedBook:
    """The target model with the prompt that every backend uses, and no context."""

    load: "Callable[[], LanguageModel]"

    @cached_property
    def _before(self) -> "KVState":
        from gist.decode import read

        lm = self.load()
        return read(lm, lm.prompt.before)

    def answer_without_document(self, questions: Sequence[str]) -> list[str]:
        """Return the model's answers, greedy, a few questions at a time."""
        from gist.decode import ask

        lm = self.load()
        rows = [
            [*lm.prompt.between, *lm.tokenizer.encode(text), *lm.prompt.after] for text in questions
        ]
        answers: list[str] = []
        for start in range(0, len(rows), BATCH):
            replies = ask(
                lm, self._before, rows[start : start + BATCH], max_new_tokens=ANSWER_TOKENS
            )
            answers += map(lm.tokenizer.decode, replies)
        return answers


def chat_ids(lm: "LanguageModel", messages: Sequence[Message]) -> Iterator[int]:
    """Yield the ids of a conversation; special tokens come from the chat template alone."""
    from gist.models.chat import render_chat

    inner = lm.tokenizer.inner
    turns = [(turn.role, _TURN.format(n)) for n, turn in enumerate(messages)]
    if inner.chat_template:
        rendered = render_chat(inner, turns, add_generation_prompt=True)
    else:
        rendered = "\n\n".join(text for _, text in turns) + "\n\n"
    bos = lm.prompt.before[:1]
    first = True
    for n, piece in enumerate(_TURNS.split(rendered)):
        if n % 2:
            yield from lm.tokenizer.encode(messages[int(piece)].content)
            continue
        ids = inner(piece, add_special_tokens=False)["input_ids"]
        if first and inner.bos_token_id in bos and ids[:1] != list(bos):
            yield from bos
        first = False
        yield from ids
