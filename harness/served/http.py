"""One request to a server, with limits of size and of time, whatever the server sends.

Every request has a connection of its own. The key is sent to the server and shown nowhere.
"""

import queue
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from harness.errors import UserError, printable
from harness.served.address import is_loopback

LARGEST_REPLY = 4 * 1024**2  # bytes, unpacked; a reply of 2048 tokens has 40 thousand
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class Transient(Exception):
    """A fault that may be gone at the next attempt."""

    def __init__(self, message: str, *, pause_s: float | None = None, reached: bool = False):
        super().__init__(message)
        self.pause_s = pause_s  # what the server asks for
        self.reached = reached  # the server works, and its reply holds nothing


@dataclass(frozen=True, slots=True)
class Received:
    """A reply as it came."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    arrived: tuple[tuple[int, float], ...]  # bytes so far, and the seconds since the request

    def seconds_at(self, size: int) -> float:
        """Return the seconds from the request until the first `size` bytes were here."""
        return next(seconds for so_far, seconds in self.arrived if so_far >= size)


@dataclass(frozen=True)
class Connection:
    """How a server is reached.

    Args:
        base: its address, up to `/v1`.
        key: sent as a bearer token; empty: none.
        timeout_s: silence of the server after which a request has failed.
        total_s: time after which a request has failed although the server still sends.
    """

    base: str
    key: str = field(repr=False)
    timeout_s: float
    total_s: float

    @cached_property
    def _tls(self) -> ssl.SSLContext | bool:
        """The certificates, read once."""
        return httpx.create_ssl_context() if self.base.startswith("https") else False

    def hidden(self, text: str) -> str:
        """Return a text without the key."""
        return text.replace(self.key, "***") if self.key else text

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Received:
        """Return a reply that came whole, in time and not too long; a body is sent as JSON.

        The timeout of the client is one of silence: a server that sends a byte a second, be it of
        its headers, never meets it. So the request has a thread that is waited for so long.

        Raises:
            Transient: the connection failed, or the reply is too long or damaged.
            UserError: the reply took longer than `total_s`.
        """
        url = f"{self.base}{path}"
        client = httpx.Client(
            timeout=httpx.Timeout(self.timeout_s, connect=min(20.0, self.timeout_s)),
            headers={"Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {self.key}"} if self.key else {}),
            # A proxy cannot reach this machine's own servers.
            trust_env=not is_loopback(url),
            verify=self._tls,
        )
        done: queue.SimpleQueue[Received | Exception] = queue.SimpleQueue()

        def request() -> None:
            try:
                start = time.perf_counter()
                with client, client.stream(method, url, json=body) as reply:
                    content, arrived = _content(reply.iter_raw(), reply.headers, start)
                    done.put(Received(reply.status_code, reply.headers, content, arrived))
            except Exception as error:  # raised again by whoever waits
                done.put(error)

        threading.Thread(target=request, daemon=True).start()
        try:
            received = done.get(timeout=self.total_s)
        except queue.Empty:
            with suppress(Exception):  # it is in the middle of a request
                client.close()
            raise UserError(
                f"the server at {url} sent no whole reply in {self.total_s:.0f} s. "
                "Give the same command again when it works."
            ) from None
        if isinstance(received, httpx.RequestError):
            what = printable(self.hidden(str(received)), 300) or type(received).__name__
            raise Transient(what) from received
        if isinstance(received, Exception):
            raise received
        return received


def _content(
    pieces: Iterable[bytes], headers: httpx.Headers, start: float
) -> tuple[bytes, tuple[tuple[int, float], ...]]:
    """Return the bytes of a reply, unpacked, and when they came; stop where they are too many."""
    packed = headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in _PACKED | {"identity", ""}:
        raise Transient(f"its reply is packed by {printable(packed, 20)}", reached=True)
    unpacker = (
        zlib.decompressobj(wbits=47 if "gzip" in packed else 15) if packed in _PACKED else None
    )
    content, arrived = bytearray(), []
    for piece in pieces:
        room = LARGEST_REPLY + 1 - len(content)
        try:
            content += unpacker.decompress(piece, room) if unpacker else piece[:room]
        except zlib.error as error:
            raise Transient("its reply is damaged", reached=True) from error
        if len(content) > LARGEST_REPLY:
            raise Transient(f"its reply has over {LARGEST_REPLY // 1024**2} MB", reached=True)
        arrived.append((len(content), time.perf_counter() - start))
    return bytes(content), tuple(arrived)
