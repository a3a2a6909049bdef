"""A local OpenAI-compatible server for tests: honest replies, and faults that are planted.

As a teacher it writes questions about the lines `The NAME of PLACE costs NUMBER euros.` in the text
that it is sent. As a tested model it answers with the number in the first such line about a name
in the question. A word is a token. It holds the prompts that it has read: a token that it has not
read at the same place takes `read_s`, one that it writes `write_s`. Faults are used up one request
at a time, in order; then it is honest.
"""

import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, takewhile
from typing import Any

FACT = re.compile(r"The (\w+) of (\w+) costs (\d+) euros\.")


def questions_about(text: str) -> list[dict[str, Any]]:
    """Return right questions: a lookup of each line, and one of every other kind."""
    facts = list(FACT.finditer(text))
    rows = [
        {
            "kind": "lookup",
            "question": f"What does the {fact[1]} of {fact[2]} cost?",
            "answer": f"{fact[3]} euros",
            "proof": [fact[0]],
        }
        for fact in facts[:2]
    ]
    dearest = max(facts, key=lambda fact: int(fact[3]))
    proof = [fact[0] for fact in facts]
    more = [
        {"kind": "global", "question": "How many prices are named?", "answer": len(facts)},
        {"kind": "reasoning", "question": "What is dearest?", "answer": dearest[1]},
    ]
    rows += [row | {"proof": proof} for row in more]
    return [*rows, {"kind": "unanswerable", "question": f"Who sells the {facts[0][1]}?"}]


@dataclass
class Fault:
    """What the server does once instead of an honest reply."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None  # sent as it is
    content: str | None = None  # sent as the model's text
    finish: str = "stop"
    hang_up: bool = False  # in the middle of the reply
    silence: bool = False  # until the server is closed
    stream: Iterable[bytes] = ()  # sent instead, headers included, until the client hangs up
    pause_s: float = 0.0  # between pieces of the stream


@dataclass
class Stub:
    """A running server, as its tests see it."""

    address: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    asked: list[dict[str, Any]] = field(default_factory=list)  # bodies of requests
    keys: set[str | None] = field(default_factory=set)
    closing: threading.Event = field(default_factory=threading.Event)
    hold_after: int | None = None  # requests; later ones wait until the server is closed
    holding: threading.Event = field(default_factory=threading.Event)
    models: tuple[str, ...] = ("stub",)
    list_status: int = 200  # of the list of models
    positions: int | None = None  # longer prompts are refused
    cuts: bool = False  # longer prompts lose their beginning instead, and nothing is said
    usage: bool = True  # whether it counts tokens
    word_tokens: int = 1  # that it counts for a word of a prompt
    read_s: float = 0.0
    write_s: float = 0.0
    held: list[list[str]] = field(default_factory=list)  # prompts that it has read
    together: int = 0  # most requests that were answered at the same time
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def teacher(self) -> str:
        """What --teacher and --model take."""
        return f"{self.address}/v1#stub"

    def read(self, words: list[str]) -> None:
        """Take the time to read a prompt, less what is held of it."""
        with self.lock:
            shared = max((prefix_tokens(words, each) for each in self.held), default=0)
            self.held.append(words)
        time.sleep(self.read_s * (len(words) - shared))


@contextmanager
def serve(faults: Iterable[Fault] = ()) -> Iterator[Stub]:
    """Run a server on a free port of this machine."""
    stub = Stub(faults=deque(faults))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stub.keys.add(self.headers.get("Authorization"))
            models = {"data": [{"id": name} for name in stub.models]}
            self._send(stub.list_status, {}, json.dumps(models))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.asked.append(body | {"path": self.path})
            stub.keys.add(self.headers.get("Authorization"))
            if stub.hold_after is not None and len(stub.asked) > stub.hold_after:
                stub.holding.set()
                stub.closing.wait()
                return
            with stub.lock:
                stub.at_once += 1
                stub.together = max(stub.together, stub.at_once)
            try:
                self._reply(body, stub.faults.popleft() if stub.faults else Fault())
            finally:
                with stub.lock:
                    stub.at_once -= 1

        def _reply(self, body: dict[str, Any], fault: Fault) -> None:
            if fault.silence:
                stub.closing.wait()
                return
            if fault.stream:
                with suppress(OSError):
                    for piece in fault.stream:
                        self.wfile.write(piece)
                        if stub.closing.wait(fault.pause_s):
                            break
                self.close_connection = True
                return
            if fault.body is not None:
                self._send(fault.status, fault.headers, fault.body, hang_up=fault.hang_up)
                return
            status, reply = honest(stub, body, fault)
            if body.get("stream") and status == 200:
                self._stream(reply, hang_up=fault.hang_up)
                return
            self._send(status, fault.headers, json.dumps(reply), hang_up=fault.hang_up)

        def _send(
            self, status: int, headers: dict[str, str], text: str, *, hang_up: bool = False
        ) -> None:
            data = text.encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if hang_up else data)

        def _stream(self, reply: dict[str, Any], *, hang_up: bool) -> None:
            """Send a word at a time, as server-sent events."""
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            choice = reply["choices"][0]
            words = re.findall(r"\S+\s*", choice["message"]["content"])
            for word in words[: len(words) // 2] if hang_up else words:
                time.sleep(stub.write_s)
                self._event({"choices": [{"delta": {"content": word}, "finish_reason": None}]})
            self.close_connection = True
            if not hang_up:
                end = {"delta": {}, "finish_reason": choice["finish_reason"]}
                self._event({"choices": [end]})
                self._event({"choices": [], "usage": reply.get("usage")})
                self.wfile.write(b"data: [DONE]\n\n")

        def _event(self, event: dict[str, Any]) -> None:
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield stub
    finally:
        stub.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def honest(stub: Stub, body: dict[str, Any], fault: Fault) -> tuple[int, dict[str, Any]]:
    """Return status and chat completion: the fault's text, questions about a text, or an answer."""
    sent = " ".join(message["content"] for message in body["messages"])
    words = sent.split()
    if stub.positions is not None and len(words) > stub.positions:
        if not stub.cuts:
            return 400, {"error": {"message": f"maximum context length is {stub.positions}"}}
        words = words[-stub.positions :]
    stub.read(words)
    content = fault.content
    if content is None:
        _, teaches, text = sent.partition("The text:\n")
        content = json.dumps(questions_about(text)) if teaches else answer_from(sent)
        if sent.startswith("You grade"):
            content = grade_from(sent)
        if sent.startswith("Summarise"):  # as a poor model does: by the beginning
            content = " ".join(sent.partition("Document:\n")[2].split()[: body["max_tokens"]])
    said = content.split() if "stream" in body else []
    if said and len(said) < body["max_tokens"]:  # rambles, so that there is something to time
        content = " ".join([*said, *["word"] * (body["max_tokens"] - len(said))])
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": fault.finish}
    usage = {
        "prompt_tokens": stub.word_tokens * len(words),
        "completion_tokens": len(content.split()),
    }
    return fault.status, {"choices": [choice]} | ({"usage": usage} if stub.usage else {})


def grade_from(prompt: str) -> str:
    """Return whether an answer to be graded holds an accepted one."""
    targets, answer = re.findall(r"^(?:Accepted answers|Answer to grade): (.*)$", prompt, re.M)
    return "Yes." if any(target in answer for target in targets.split(" | ")) else "no"


def prefix_tokens(one: list[str], other: list[str]) -> int:
    """Return how many words two prompts begin with that are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def answer_from(prompt: str) -> str:
    """Return the price or the hidden number that the prompt's last question asks for."""
    text, _, question = prompt.rpartition("Question: ")
    facts = (f"{fact[3]} euros" for fact in FACT.finditer(text) if fact[1] in question)
    last = question.split()[-1].strip("?.")
    hidden = (
        found[0]
        for sentence in re.split(r"(?<=[.])\s", text)
        if last in sentence and (found := re.search(r"\d{5}", sentence))
    )
    return next(chain(facts, hidden), "not in the text")
