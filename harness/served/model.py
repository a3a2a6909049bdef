"""A tested model behind a server: it is sent whole prompts, and keeps what it likes of them.

The prompt has the same pieces as that of a model loaded here, but the server puts its own chat
template around it. Questions of a batch are sent at the same time. Nothing is known of the server's
memory; of tokens, what it says of each request and what a named tokenizer counts.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field
from typing import Any

from harness.api import SERVER, Generation, Prompt, Shown, Tokenizer
from harness.errors import ContextTooLong, TokenizerUnknown, UserError, did_you_mean
from harness.served.client import Server
from harness.served.kept import KeptReplies
from harness.served.messages import Completion, Message


@dataclass(frozen=True)
class UnknownTokenizer:
    """Stands in for the tokenizer of a served model that nobody has named."""

    model: str

    def encode(self, text: str) -> list[int]:  # noqa: ARG002 - the signature of a tokenizer
        """Refuse: ids of another tokenizer would be wrong sizes."""
        raise TokenizerUnknown(
            f"this counts tokens, and the tokenizer of {self.model} is not known. Name a model "
            "that has the same one with --tokenizer: a folder or a hub id."
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Refuse, as `encode` does."""
        raise AssertionError(f"ids without an encoder: {ids}")


@dataclass
class OpenAIModel:
    """A model of an OpenAI-compatible server; implements `harness.api.ServedModel`.

    Args:
        server: the client.
        prompt: its texts; worked examples are earlier turns.
        named: its tokenizer, if somebody has named it.
        tokenizer_name: as it was named, for `run.json`.
    """

    server: Server
    prompt: Prompt
    named: Tokenizer | None = None
    tokenizer_name: str = ""
    kept: KeptReplies = field(default_factory=KeptReplies, repr=False)
    device: str = SERVER
    random_weights: bool = False
    max_positions: None = None

    def __post_init__(self) -> None:
        """Refuse a model that the server does not have.

        Raises:
            UserError: the server cannot be reached, or names other models.
        """
        there, model = self.server.models(), self.server.model
        if there and model not in there:
            shown = ", ".join(there[:8]) + (" and more" if len(there) > 8 else "")
            raise UserError(
                f"the server has no model {model!r}. {did_you_mean(model, there)}Models: {shown}."
            )

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer; one that refuses where nobody has named it."""
        return self.named or UnknownTokenizer(self.name)

    @property
    def name(self) -> str:
        """Its address and its name there."""
        return self.server.address

    @property
    def fingerprint(self) -> str:
        """A hash of its name at the server, which is all that is known of it."""
        return hashlib.sha256(self.server.model.encode()).hexdigest()[:16]

    @property
    def prompt_hash(self) -> str:
        """A hash of the prompt's texts."""
        return hashlib.sha256(repr(astuple(self.prompt)).encode()).hexdigest()[:16]

    def count_tokens(self, text: str) -> int | None:
        """Return how many tokens a text has; None where nobody has named the tokenizer."""
        try:
            return len(self.tokenizer.encode(text))
        except TokenizerUnknown:
            return None

    def describe(self) -> Mapping[str, Any]:
        """Return what is known of it."""
        return {
            "name": self.name,
            "served": True,
            "tokenizer": self.tokenizer_name or None,
            "prompt_hash": self.prompt_hash,
            "shots": len(self.prompt.examples),
            "answers_in_sentences": True,
            "reads_any_text": True,
        }

    def answer(
        self, requests: Sequence[Shown], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer each request from its own text, all at once.

        A request for a least number of tokens is one whose time counts: it is streamed, so that
        the time to the first token is known.

        Raises:
            ContextTooLong: a prompt is longer than the server reads.
            UserError: the server cannot be reached, or refuses.
        """
        streamed = min_new_tokens > 0
        with ThreadPoolExecutor(max_workers=len(requests)) as pool:
            # Leaving waits for what is under way: it is paid for, and is kept.
            asked = [
                pool.submit(self._asked, self._messages(shown), max_new_tokens, streamed=streamed)
                for shown in requests
            ]
        try:
            return [
                self._generation(shown, one.result().reply)
                for shown, one in zip(requests, asked, strict=True)
            ]
        except ContextTooLong:
            if len(requests) > 1:  # the others will be asked again, one at a time
                for one in (one.result() for one in asked if one.exception() is None):
                    self.kept.put_back(one.key, one.reply)
            raise

    def write(self, instruction: str, text: str, *, max_new_tokens: int) -> str:
        """Return what it writes as it is told to about a text; raises as `answer` does."""
        message = Message("user", f"{instruction}{text}")
        asked = self._asked([message], max_new_tokens, streamed=False)
        self._refuse_cut_prompt(asked.reply, self.count_tokens(text))
        return asked.reply.text.rpartition("</think>")[2].strip()

    def _asked(
        self, messages: Sequence[Message], max_new_tokens: int, *, streamed: bool
    ) -> "_Asked":
        """Return the reply to a conversation: one that was kept, or the server's."""
        key = [self.name, [astuple(message) for message in messages], max_new_tokens, streamed]
        reply = self.kept.take(key)
        if reply is None:
            reply = self.server.complete(messages, max_tokens=max_new_tokens, streamed=streamed)
            self.kept.add(key, reply)
        return _Asked(key, reply)

    def _generation(self, shown: Shown, reply: Completion) -> Generation:
        entries = self.count_tokens(shown.text)
        self._refuse_cut_prompt(reply, entries)
        return Generation(
            text=reply.text.strip(),
            prompt_tokens=reply.prompt_tokens,
            context_entries=entries,
            new_tokens=reply.new_tokens,
            evidence=shown.evidence,
            cut=reply.cut,
            first_token_s=reply.first_token_s,
        )

    def _messages(self, shown: Shown) -> list[Message]:
        """Return the worked examples as earlier turns, and the turn that asks."""
        prompt = self.prompt
        turns: list[Message] = []
        for text, question, answer in prompt.examples:
            turns.append(Message("user", f"{prompt.head}{text}{prompt.between}{question}"))
            turns.append(Message("assistant", answer))
        asked = f"{prompt.head}{shown.text}{prompt.between}{shown.question}"
        return [*turns, Message("user", asked)]

    def _refuse_cut_prompt(self, reply: Completion, entries: int | None) -> None:
        """Refuse an answer to a prompt that the server has cut without saying so.

        Raises:
            ContextTooLong: it read fewer tokens than the text alone has.
        """
        read = reply.prompt_tokens
        if read is not None and entries is not None and read < entries:
            raise ContextTooLong(
                f"the server read {read} tokens of a text of {entries}: it cuts long prompts, or "
                f"--tokenizer {self.tokenizer_name} is not its tokenizer"
            )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as it is kept, and the reply to it."""

    key: list[Any]
    reply: Completion
