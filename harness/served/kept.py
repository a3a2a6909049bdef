"""Replies that have come and are in no row yet: an interrupted run does not pay for them twice.

A run writes the rows of a sample when all of its questions are answered. Until then its replies
are in `replies.jsonl` of the run's folder, by a hash of what was asked. The key is never in it.
"""

import hashlib
import json
import os
import threading
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.files import append, open_to_append
from harness.served.messages import Completion

FILE = "replies.jsonl"


class KeptReplies:
    """The replies since the last written row; nothing is kept until `open`."""

    def __init__(self) -> None:
        self._left: defaultdict[str, deque[Completion]] = defaultdict(deque)
        self._file: int | None = None
        self._path = Path()
        self._lock = threading.Lock()
        self.replayed = 0  # replies that were taken

    def open(self, folder: Path) -> None:
        """Take up what an interrupted process has left in a run's folder."""
        self._path = folder / FILE
        if self._path.exists():
            for line in self._path.read_bytes().split(b"\n"):
                with suppress(ValueError, TypeError, LookupError):  # torn, when it was killed
                    entry = json.loads(line)
                    self._left[entry["asked"]].append(Completion(**entry["reply"]))
        self._file = open_to_append(self._path)
        append(self._file, b"\n")  # ends a torn line

    def take(self, body: Any) -> Completion | None:
        """Return a reply to the same request that has come before, once."""
        with self._lock:
            found = self._left.get(_hash(body))
            self.replayed += bool(found)
            return found.popleft() if found else None

    def add(self, body: Any, reply: Completion) -> None:
        """Keep a reply until its row is written."""
        line = json.dumps({"asked": _hash(body), "reply": asdict(reply)}).encode() + b"\n"
        with self._lock:
            if self._file is not None:
                append(self._file, line)

    def put_back(self, body: Any, reply: Completion) -> None:
        """Keep a reply for when the same is asked again in this process."""
        with self._lock:
            self._left[_hash(body)].append(reply)

    def written(self) -> None:
        """Forget everything: the rows of what was asked are on the disk."""
        with self._lock:
            self._left.clear()
            if self._file is not None:
                os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Close the file, and remove it if nothing is left in it."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
                if not self._path.read_bytes().strip():
                    self._path.unlink()


def _hash(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
