"""A teacher's server that does harm: requests end in bounded time and memory, with one line."""

import gzip
import itertools
import json
import time
import tracemalloc
import zlib
from collections.abc import Iterable

import pytest

from harness.errors import UserError, printable
from harness.makeqa import asking
from harness.served.address import is_loopback, read_key
from harness.served.client import ATTEMPTS, Server
from harness.served.http import LARGEST_REPLY
from harness.served.messages import Message, NoReply
from tests.support.stub_server import Fault, serve

ASK = [Message("user", "Reply with the JSON list.\n\nThe text:\nThe lamp of Brenta costs 7 euros.")]
HEAD = b"HTTP/1.0 200 OK\r\n"
BOMB = gzip.compress(bytes(64 * LARGEST_REPLY), compresslevel=9)
DEEP = [Message("user", "x"), Message("assistant", "half \ud83d a character")]


def test_a_reply_that_never_ends_is_cut_off() -> None:
    """However much comes, little of it is held, and the context has no reply."""
    endless = [HEAD, b"\r\n", *[bytes(1 << 16)] * 1000]
    with serve([Fault(stream=endless)] * ATTEMPTS) as stub:
        tracemalloc.start()
        with pytest.raises(NoReply, match="its reply has over 4 MB"):
            Server(stub.teacher, pause=lambda _: None).ask(ASK)
        assert tracemalloc.get_traced_memory()[1] < 40 * 1024**2
        tracemalloc.stop()


@pytest.mark.parametrize("packed", [BOMB, zlib.compress(bytes(64 * LARGEST_REPLY), 9)])
def test_a_reply_that_unpacks_to_gigabytes_is_cut_off(packed: bytes) -> None:
    """The limit is of what it unpacks to."""
    name = b"gzip" if packed is BOMB else b"deflate"
    stream = [HEAD, b"Content-Encoding: " + name + b"\r\n\r\n", packed]
    with serve([Fault(stream=stream)] * ATTEMPTS) as stub:
        tracemalloc.start()
        with pytest.raises(NoReply, match="its reply has over 4 MB"):
            Server(stub.teacher, pause=lambda _: None).ask(ASK)
        assert tracemalloc.get_traced_memory()[1] < 60 * 1024**2
        tracemalloc.stop()


def test_a_packed_reply_of_ordinary_size_is_read() -> None:
    """A proxy may pack what nobody asked it to pack."""
    text = json.dumps({"choices": [{"message": {"content": "yes"}}]}).encode()
    stream = [HEAD, b"Content-Encoding: gzip\r\n\r\n", gzip.compress(text)]
    with serve([Fault(stream=stream)]) as stub:
        assert Server(stub.teacher).ask(ASK) == "yes"


@pytest.mark.parametrize("head", [[HEAD, b"\r\n"], [HEAD]])
def test_a_byte_at_a_time_is_no_way_to_keep_a_request_open(head: list[bytes]) -> None:
    """Neither in the reply nor in its headers: the whole has a limit, not only the silence."""
    drops: Iterable[bytes] = itertools.chain(head, itertools.repeat(b"x"))
    with serve([Fault(stream=drops, pause_s=0.02)]) as stub:
        began = time.monotonic()
        with pytest.raises(UserError, match=r"sent no whole reply in 0 s\. Give the same command"):
            Server(stub.teacher, total_s=0.3, pause=lambda _: None).ask(ASK)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, '{"choices": ' + "[" * 50_000]
)
def test_deep_json_is_a_reply_that_cannot_be_read(body: str) -> None:
    """It is asked over like any reply that is no JSON."""
    with serve([Fault(body=body)]) as stub:
        assert "lamp" in Server(stub.teacher, pause=lambda _: None).ask(ASK)
        assert len(stub.asked) == 2


@pytest.mark.parametrize(
    "reply",
    ['{"a":' * 40_000, "{" * 200_000, '{"' * 100_000, '{"question":"a' * 14_000, "[" * 500_000],
)
def test_a_reply_of_brackets_is_read_in_little_time(reply: str) -> None:
    """Each of them might start a question, and each failure may cost as much as the whole."""
    began = time.monotonic()
    assert not asking.parse(reply).items
    assert time.monotonic() - began < 8  # without a limit, half a minute


def test_half_a_character_of_the_model_can_be_sent_back() -> None:
    """The second request quotes the first reply."""
    with serve() as stub:
        assert Server(stub.teacher).ask([*ASK, *DEEP])
        assert stub.asked[0]["messages"][-1]["content"] == "half ? a character"


@pytest.mark.parametrize("header", ["inf", "1e400", "1e9", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_endless_pause_is_not_taken(header: str) -> None:
    """Who asks for more than two minutes ends the command."""
    with (
        serve([Fault(status=429, headers={"Retry-After": header})]) as stub,
        pytest.raises(UserError, match="asks for a pause of"),
    ):
        Server(stub.teacher, pause=lambda _: pytest.fail("it waited")).ask(ASK)


@pytest.mark.parametrize(
    "header", ["nan", "-1e9", "Fri, 31 Dec 99999999999 23:59:59 GMT", "1" * 400, "9" * 5000, "\x7f"]
)
def test_a_pause_that_makes_no_sense_is_none(header: str) -> None:
    """It is waited for no time, or as long as after any fault, or not at all."""
    with serve([Fault(status=429, headers={"Retry-After": header})]) as stub:
        pauses: list[float] = []
        try:
            Server(stub.teacher, pause=pauses.append).ask(ASK)
        except UserError as refused:
            assert "asks for a pause" in str(refused)  # noqa: PT017 - either end is right
        assert all(0 <= pause_s <= 1 for pause_s in pauses)


def test_what_a_terminal_would_obey_is_shown_as_text() -> None:
    """An error body may clear a screen or write a title; here it is one line of plain signs."""
    body = "\x1b]0;owned\x07\x1b[2Jno\r\nmodel\u202e\x9b31m"
    with serve([Fault(status=400, body=body)]) as stub, pytest.raises(UserError) as refused:
        Server(stub.teacher).ask(ASK)
    line = str(refused.value)
    assert line.isprintable()
    assert r"\x1b[2Jno model" in line
    assert printable("a\nb \ud800", 40) == r"a b \ud800"
    assert printable("x" * 50, 10) == "x" * 10 + "..."


@pytest.mark.parametrize(
    ("teacher", "sent"),
    [
        ("https://models.example/v1#m", True),
        ("http://127.0.0.1:8000/v1#m", True),
        ("http://127.8.8.8/v1#m", True),
        ("http://[::1]:8000/v1#m", True),
        ("http://localhost/v1#m", True),
        ("http://models.example/v1#m", False),
        ("http://10.0.0.7:8000/v1#m", False),
        ("http://127.0.0.1.example/v1#m", False),
        ("http://localhost.example/v1#m", False),
    ],
)
def test_the_default_key_goes_to_no_unencrypted_address_of_others(
    teacher: str, sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is named, which is said; it is never printed."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    told: list[str] = []
    assert read_key(None, teacher, told.append) == ("sk-secret" if sent else "")
    assert [("OPENAI_API_KEY is not sent" in line, "sk-" in line) for line in told] == (
        [] if sent else [(True, False)]
    )
    assert read_key("OPENAI_API_KEY", teacher, told.append) == "sk-secret"
    assert is_loopback(teacher) == (sent and teacher.startswith("http://"))
