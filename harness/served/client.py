"""The client of an OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, TGI and others.

Transient faults (429, 5xx, a broken connection) are retried, with growing pauses or the one that
the server names. Any other fault is an error in one line, and the same command continues later.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from harness.errors import ContextTooLong, UserError, printable
from harness.served.address import split_address
from harness.served.http import Connection, Received, Transient
from harness.served.messages import Completion, Message, NoReply
from harness.text import encodable

_log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 6
FIRST_PAUSE_S = 1.0  # doubled each time
LONGEST_PAUSE_S = 120.0  # a server that wants more ends the command
REPLY_TOKENS = 2048  # a dozen questions with their evidence; doubled once if a reply is cut off
_TOO_LONG = re.compile(  # as vLLM, SGLang, llama.cpp, TGI and OpenAI say it
    r"context.?(length|size|window)|maximum (input )?length|too (long|large)|max_?(new_)?_?tokens"
    r".{0,60}(must be|exceed)|inputs?.{0,40}tokens.{0,40}(must be|exceed)",
    re.I | re.S,
)


@dataclass
class Server:
    """A model of an OpenAI-compatible server.

    Args:
        address: `http://host:port/v1#model`.
        key: sent as a bearer token; empty: none.
        seed: sent along, for servers that draw.
        timeout_s: silence of the server after which a request has failed.
        total_s: time after which a request has failed although the server still sends.
        pause: waits that many seconds.
        role: what the model is, in messages.
    """

    address: str
    key: str = field(default="", repr=False)
    seed: int = 0
    timeout_s: float = 300.0
    total_s: float = 600.0
    pause: Callable[[float], object] = time.sleep
    role: str = "teacher"

    def __post_init__(self) -> None:
        """Take the address apart.

        Raises:
            UserError: it has no model, or holds a password or a query.
        """
        base, self.model = split_address(self.address, self.role)
        self._connection = Connection(base, self.key, self.timeout_s, self.total_s)

    def ask(self, messages: Sequence[Message]) -> str:
        """Return the model's reply; one that is cut off is asked for once more, twice as long.

        Raises:
            NoReply: the server works, but every reply to this was without text.
            UserError: the server cannot be reached, refuses, or is broken.
        """
        try:
            for tokens in (REPLY_TOKENS, 2 * REPLY_TOKENS):
                reply = self.complete(messages, max_tokens=tokens, needs_text=True)
                if not reply.cut:
                    break
        except ContextTooLong as refused:
            raise UserError(str(refused)) from refused
        return reply.text

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        streamed: bool = False,
        needs_text: bool = False,
    ) -> Completion:
        """Return the model's reply to a conversation, greedy.

        Args:
            messages: the conversation; the last turn is the user's.
            max_tokens: of the reply.
            streamed: let it come token by token, so that the time to the first one is known.
            needs_text: ask again where the reply is blank.

        Raises:
            ContextTooLong: the server says that the conversation is too long.
            NoReply: the server works, but every reply to this was without text.
            UserError: the server cannot be reached, refuses, or is broken.
        """
        body = {
            "model": self.model,
            "messages": [
                {"role": turn.role, "content": encodable(turn.content)} for turn in messages
            ],
            "temperature": 0,
            "seed": self.seed,
            "max_tokens": max_tokens,
        }
        if streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}

        def once() -> Completion:
            received = self._checked(self._connection.request("POST", "/chat/completions", body))
            found = _streamed(received) if streamed else _whole(received)
            if needs_text and not found.text.strip():
                raise Transient("its reply has no text", reached=True)
            return found

        return self._retried(once)

    def models(self) -> list[str]:
        """Return the models that the server says it has; none where it does not say.

        A server that fails here may answer all the same: `transformers serve` does without a cache
        of the hub.

        Raises:
            UserError: the server cannot be reached, or refuses the key.
        """

        def once() -> list[str]:
            received = self._connection.request("GET", "/models")
            if received.status in (401, 403, 429):
                self._checked(received)
            try:
                return [str(each["id"]) for each in json.loads(received.content)["data"]]
            except (ValueError, LookupError, TypeError, RecursionError):
                return []

        return self._retried(once)

    def _retried(self, once: Callable[[], T]) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return once()
            except Transient as fault:
                self._wait(fault, attempt)
        try:
            return once()
        except Transient as fault:
            if fault.reached:
                raise NoReply(str(fault)) from fault
            raise UserError(
                f"the {self.role} at {self._connection.base} failed {ATTEMPTS} times: {fault}. "
                "Give the same command again when it works."
            ) from fault

    def _wait(self, fault: Transient, attempt: int) -> None:
        pause_s = fault.pause_s
        if pause_s is None:
            pause_s = FIRST_PAUSE_S * 2 ** (attempt - 1)
        if pause_s > LONGEST_PAUSE_S:
            raise UserError(
                f"the {self.role} at {self._connection.base} asks for a pause of {pause_s:.0f} s. "
                "Give the same command again after it."
            ) from fault
        _log.warning("the %s: %s. Asking again in %.0f s", self.role, fault, pause_s)
        self.pause(pause_s)

    def _checked(self, received: Received) -> Received:
        """Return a reply that is none of the server's refusals."""
        status = received.status
        if status == 429 or status >= 500:
            pause_s = _retry_after_s(received.headers.get("Retry-After", ""))
            raise Transient(f"status {status}", pause_s=pause_s)
        if status != 200:
            text = self._connection.hidden(received.content.decode(errors="replace"))
            said = printable(text, 300) or "no reason given"
            if status in (400, 413, 422) and _TOO_LONG.search(text):
                raise ContextTooLong(f"the {self.role} refused with status {status}: {said}")
            raise UserError(
                f"the {self.role} at {self._connection.base} refused with status {status}: {said}"
            )
        return received


def _whole(received: Received) -> Completion:
    """Read a reply that is one JSON object."""
    try:
        reply: Any = json.loads(received.content)
    except (ValueError, RecursionError) as error:
        raise Transient("its reply is not JSON") from error
    try:
        choice = reply["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text = _text_of(message)
    except (LookupError, TypeError, AttributeError) as error:
        raise Transient("its reply has no choices", reached=True) from error
    return Completion(text, reason == "length", *_usage(reply))


def _streamed(received: Received) -> Completion:
    """Read a reply that came as server-sent events, one for each token or few."""
    texts, thoughts, cut, first_token_s = [], [], False, None
    usage: tuple[int | None, int | None] = None, None
    ended = False
    for end, data in _events(received.content):
        if data == b"[DONE]":
            ended = True
            break
        try:
            event: Any = json.loads(data)
            choices = event.get("choices") or [{}]
            delta, reason = choices[0].get("delta") or {}, choices[0].get("finish_reason")
            said, thought = delta.get("content") or "", _thought_of(delta)
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise Transient("its stream holds what is no event") from error
        if (said or thought) and first_token_s is None:
            first_token_s = received.seconds_at(end)
        texts.append(str(said))
        thoughts.append(thought)
        ended = ended or bool(reason)
        cut = cut or reason == "length"
        usage = _usage(event) if event.get("usage") else usage
    if not ended:
        raise Transient("its stream ended before the reply did")
    return Completion(_joined("".join(thoughts), "".join(texts)), cut, *usage, first_token_s)


def _events(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield where each event of a stream ends, and its data."""
    at = 0
    for line in content.splitlines(keepends=True):
        at += len(line)
        if line.startswith(b"data:"):
            yield at, line[5:].strip()


def _text_of(message: Any) -> str:
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        raise TypeError("content that is no text")
    return _joined(_thought_of(message), content or "")


def _thought_of(message: Any) -> str:
    """Return the thoughts that a server sends apart from the answer."""
    thought = message.get("reasoning_content") or message.get("reasoning")
    return thought if isinstance(thought, str) else ""


def _joined(thought: str, text: str) -> str:
    return f"<think>{thought}</think>{text}" if thought else text


def _usage(reply: Any) -> tuple[int | None, int | None]:
    """Return the tokens of the prompt and of the reply, as far as the server says."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    counts = usage if isinstance(usage, dict) else {}
    prompt, new = (counts.get(name) for name in ("prompt_tokens", "completion_tokens"))
    return (
        prompt if isinstance(prompt, int) else None,
        new if isinstance(new, int) else None,
    )


def _retry_after_s(header: str) -> float | None:
    """Return the pause that a Retry-After header asks for: seconds or a date."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(header)
    except (ValueError, TypeError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
