"""A teacher behind an OpenAI-compatible server: vLLM, Ollama, llama.cpp and others.

Transient faults (429, 5xx, a broken connection, a reply without text) are retried, with growing
pauses or the one that the server names. Any other fault is an error in one line, and the same
command continues later. The key is sent to the server and shown nowhere. A reply has limits of
size and of total time, whatever the server sends.
"""

import ipaddress
import json
import logging
import queue
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from harness.errors import UserError, printable
from harness.makeqa.proposals import Message, NoReply

_log = logging.getLogger(__name__)

ATTEMPTS = 6
FIRST_PAUSE_S = 1.0  # doubled each time
LONGEST_PAUSE_S = 120.0  # a server that wants more ends the command
REPLY_TOKENS = 2048  # a dozen questions with their evidence; doubled once if a reply is cut off
LARGEST_REPLY = 4 * 1024**2  # bytes, unpacked; a reply of so many tokens has 40 thousand
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class _Transient(Exception):
    """A fault that may be gone at the next attempt."""

    def __init__(self, message: str, *, pause_s: float | None = None, reached: bool = False):
        super().__init__(message)
        self.pause_s = pause_s  # what the server asks for
        self.reached = reached  # the server works, and its reply holds nothing


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
    """

    address: str
    key: str = field(default="", repr=False)
    seed: int = 0
    timeout_s: float = 300.0
    total_s: float = 600.0
    pause: Callable[[float], object] = time.sleep

    def __post_init__(self) -> None:
        """Take the address apart.

        Raises:
            UserError: it has no model, or holds a password or a query.
        """
        base, _, self._model = self.address.partition("#")
        try:
            parts = urlsplit(base)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        else:
            if "@" in parts.netloc or parts.query:  # not repeated: it may be the key
                raise UserError(
                    "the teacher's address holds a user, a password or a query. "
                    "Put the key into an environment variable and name it with --key-env."
                )
        if not host or not self._model:
            raise UserError(
                f"teacher {self.address!r} is not an address with a model. "
                "Write http://host:port/v1#model."
            )
        self._url = f"{base.rstrip('/').removesuffix('/chat/completions')}/chat/completions"
        # A proxy cannot reach this machine's own servers.
        self._trusts_proxies = not is_loopback(base)
        self._tls = httpx.create_ssl_context() if parts.scheme == "https" else False

    def ask(self, messages: Sequence[Message]) -> str:
        """Return the model's reply.

        Raises:
            NoReply: the server works, but every reply to this was without text.
            UserError: the server cannot be reached, refuses, or is broken.
        """
        tokens, said = REPLY_TOKENS, ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                text, cut_off = self._ask_once(messages, tokens)
            except _Transient as fault:
                if attempt == ATTEMPTS:
                    if fault.reached:
                        raise NoReply(str(fault)) from fault
                    raise UserError(
                        f"the teacher at {self._url} failed {ATTEMPTS} times: {fault}. "
                        "Give the same command again when it works."
                    ) from fault
                self._wait(fault, attempt)
                continue
            if not cut_off or tokens > REPLY_TOKENS:
                return text
            tokens, said = 2 * REPLY_TOKENS, text
        return said

    def close(self) -> None:
        """Close nothing: every request has a connection of its own."""

    def _wait(self, fault: _Transient, attempt: int) -> None:
        pause_s = fault.pause_s
        if pause_s is None:
            pause_s = FIRST_PAUSE_S * 2 ** (attempt - 1)
        if pause_s > LONGEST_PAUSE_S:
            raise UserError(
                f"the teacher at {self._url} asks for a pause of {pause_s:.0f} s. "
                "Give the same command again after it."
            ) from fault
        _log.warning("the teacher: %s. Asking again in %.0f s", fault, pause_s)
        self.pause(pause_s)

    def _ask_once(self, messages: Sequence[Message], tokens: int) -> tuple[str, bool]:
        """Return the text of a reply and whether it was cut off."""
        body = {
            "model": self._model,
            "messages": [
                {"role": turn.role, "content": _encodable(turn.content)} for turn in messages
            ],
            "temperature": 0,
            "seed": self.seed,
            "max_tokens": tokens,
        }
        status, headers, content = self._post(body)
        if status == 429 or status >= 500:
            pause_s = _retry_after_s(headers.get("Retry-After", ""))
            raise _Transient(f"status {status}", pause_s=pause_s)
        if status != 200:
            said = printable(self._hide(content.decode(errors="replace")), 300)
            raise UserError(
                f"the teacher at {self._url} refused with status {status}: "
                f"{said or 'no reason given'}"
            )
        try:
            reply = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _Transient("its reply is not JSON") from error
        return _text(reply)

    def _post(self, body: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        """Return status, headers and content of a reply that came whole, in time and not too long.

        The timeout of the client is one of silence: a server that sends a byte a second, be it of
        its headers, never meets it. So the request has a thread that is waited for so long.
        """
        client = httpx.Client(
            timeout=httpx.Timeout(self.timeout_s, connect=min(20.0, self.timeout_s)),
            headers={"Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {self.key}"} if self.key else {}),
            trust_env=self._trusts_proxies,
            verify=self._tls,
        )
        done: queue.SimpleQueue[tuple[int, httpx.Headers, bytes] | Exception] = queue.SimpleQueue()

        def post() -> None:
            try:
                with client, client.stream("POST", self._url, json=body) as reply:
                    content = _content(reply.iter_raw(), reply.headers)
                    done.put((reply.status_code, reply.headers, content))
            except Exception as error:  # raised again by whoever waits
                done.put(error)

        threading.Thread(target=post, daemon=True).start()
        try:
            reply = done.get(timeout=self.total_s)
        except queue.Empty:
            with suppress(Exception):  # it is in the middle of a request
                client.close()
            raise UserError(
                f"the teacher at {self._url} sent no whole reply in {self.total_s:.0f} s. "
                "Give the same command again when it works."
            ) from None
        if isinstance(reply, httpx.RequestError):
            what = printable(self._hide(str(reply)), 300) or type(reply).__name__
            raise _Transient(what) from reply
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _hide(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text


def is_loopback(address: str) -> bool:
    """Say whether an address leads to this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")


def _content(pieces: Iterable[bytes], headers: httpx.Headers) -> bytes:
    """Return the bytes of a reply, unpacked, and stop reading where they are too many."""
    packed = headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in _PACKED | {"identity", ""}:
        raise _Transient(f"its reply is packed by {printable(packed, 20)}", reached=True)
    unpacker = (
        zlib.decompressobj(wbits=47 if "gzip" in packed else 15) if packed in _PACKED else None
    )
    content = bytearray()
    for piece in pieces:
        room = LARGEST_REPLY + 1 - len(content)
        try:
            content += unpacker.decompress(piece, room) if unpacker else piece[:room]
        except zlib.error as error:
            raise _Transient("its reply is damaged", reached=True) from error
        if len(content) > LARGEST_REPLY:
            raise _Transient(f"its reply has over {LARGEST_REPLY // 1024**2} MB", reached=True)
    return bytes(content)


def _encodable(text: str) -> str:
    """Return a text without half characters, which a model's own reply may hold."""
    return text.encode(errors="replace").decode()


def _text(reply: Any) -> tuple[str, bool]:
    """Return the text of a reply in JSON, and whether it was cut off."""
    try:
        choice = reply["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (LookupError, TypeError, AttributeError) as error:
        raise _Transient("its reply has no choices", reached=True) from error
    if not isinstance(text, str) or not text.strip():
        raise _Transient("its reply has no text", reached=True)
    return text, reason == "length"


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
