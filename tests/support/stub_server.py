"""A local OpenAI-compatible server for tests: honest replies, and faults that are planted.

It writes questions about the lines `The NAME of PLACE costs NUMBER euros.` in the text that it is
sent. Faults are used up one request at a time, in order; then it is honest.
"""

import json
import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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

    @property
    def teacher(self) -> str:
        """What --teacher takes."""
        return f"{self.address}/v1#stub"


@contextmanager
def serve(faults: Iterable[Fault] = ()) -> Iterator[Stub]:
    """Run a server on a free port of this machine."""
    stub = Stub(faults=deque(faults))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.asked.append(body | {"path": self.path})
            stub.keys.add(self.headers.get("Authorization"))
            if stub.hold_after is not None and len(stub.asked) > stub.hold_after:
                stub.holding.set()
                stub.closing.wait()
                return
            self._reply(body, stub.faults.popleft() if stub.faults else Fault())

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
            data = (honest(body, fault) if fault.body is None else fault.body).encode()
            self.send_response(fault.status)
            for name, value in fault.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if fault.hang_up else data)

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


def honest(body: dict[str, Any], fault: Fault) -> str:
    """Return a chat completion: the fault's text, or questions about the text that was sent."""
    content = fault.content
    if content is None:
        sent = body["messages"][0]["content"]
        content = json.dumps(questions_about(sent.partition("The text:\n")[2]))
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": fault.finish}
    return json.dumps({"choices": [choice]})
