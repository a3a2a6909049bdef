"""The files that are being made: rows of contexts, and beside them what became of each context.

    qa.jsonl        one line per context with its questions
    qa.test.jsonl   the same of other documents, if asked for
    qa.jsonl.log    first the settings, then one line per finished context: kept, dropped
    qa.jsonl.lock   held while a process writes

A context's row is on the disk before its line in the log. So a process can be killed at any
moment: what is not in both is dropped, and asked for again.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files import append, locked, open_to_append, write_atomically

Row = Mapping[str, Any]
LOG = "log"


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a context."""

    id: str
    part: str  # the file that its row is in: train or test
    kept: Mapping[str, int]  # by kind; nothing kept: there is no row
    dropped: Mapping[str, int]  # by reason


class Journal:
    """The files of one output."""

    def __init__(self, parts: Mapping[str, Path], settings: Mapping[str, Any]) -> None:
        self._parts = dict(parts)
        self._settings = json.loads(json.dumps(settings))
        self._out = next(iter(self._parts.values()))
        self.path = self._out.with_name(f"{self._out.name}.log")
        self._files: dict[str, int] = {}  # of each part, and the log, while they are open

    @contextmanager
    def open(self, *, restart: bool = False) -> Iterator[dict[str, Finished]]:
        """Recover what an earlier process left, and yield the contexts that are finished.

        While the context is open the files are locked, and `add` writes to them.

        Raises:
            UserError: the files are of another making, or another process writes to them.
        """
        if not restart:
            self._check_ours()
        lock = self._out.with_name(f"{self._out.name}.lock")
        with ExitStack() as stack:
            stack.enter_context(locked(lock, protected=self._out))
            if restart:
                for path in self._parts.values():
                    path.unlink(missing_ok=True)
            finished = {} if restart else self._read()
            self._recover_parts(finished)
            self._rewrite_log(finished.values())
            for part, path in {LOG: self.path, **self._parts}.items():
                self._files[part] = open_to_append(path)
                stack.callback(os.close, self._files[part])
            yield finished

    def add(self, finished: Finished, row: Row | None) -> None:
        """Write what became of a context; it is on the disk when this returns."""
        assert self._files, "open the journal first"
        assert (row is None) == (not sum(finished.kept.values())), finished
        if row is not None:
            append(self._files[finished.part], _encode([row]))
        append(self._files[LOG], _encode([asdict(finished)]))

    def _check_ours(self) -> None:
        """Refuse files that this command has not begun."""
        if self.path.exists() and self.path.read_bytes().count(b"\n"):
            self._check_settings()
            return
        for path in self._parts.values():
            if path.exists() and path.stat().st_size:
                raise UserError(
                    f"{path} exists and was not written by this command. Give another name, "
                    "or start over with --restart."
                )

    def _check_settings(self) -> None:
        begun = next(_lines(self.path), {}).get("settings")
        if not isinstance(begun, dict):
            raise UserError(f"{self.path} cannot be read. Start over with --restart.")
        for name in sorted({*begun, *self._settings}):
            before, now = begun.get(name), self._settings.get(name)
            if before != now:
                values = "" if isinstance(before, dict | list) else f" ({before}, now {now})"
                raise UserError(
                    f"{self.path.with_suffix('')} was written with another {name}{values}. "
                    "Give the same as then, another --out, or --restart to delete it."
                )

    def _read(self) -> dict[str, Finished]:
        """Return the contexts whose line is in the log and whose row, if any, in its file."""
        rows = {(part, row.get("id")) for part, path in self._parts.items() for row in _lines(path)}
        finished: dict[str, Finished] = {}
        for line in _lines(self.path):
            try:
                one = Finished(**line)
            except TypeError:  # the settings
                continue
            if not sum(one.kept.values()) or (one.part, one.id) in rows:
                finished[one.id] = one
        return finished

    def _recover_parts(self, finished: Mapping[str, Finished]) -> None:
        """Drop torn lines and the row of a context that is not finished."""
        for part, path in self._parts.items():
            if not path.exists():
                continue
            kept: dict[str, Row] = {}
            others = 0
            for row in _lines(path):
                one = finished.get(str(row.get("id")))
                if one and one.part == part and sum(one.kept.values()) and one.id not in kept:
                    kept[one.id] = row
                else:
                    others += 1
            if others > 1:  # a crash leaves one at most
                raise UserError(
                    f"{path} has {others} lines that this command did not write. Move them to "
                    "another file, or drop all with --restart."
                )
            data = _encode(kept.values())
            if data != path.read_bytes():
                write_atomically(path, data)

    def _rewrite_log(self, finished: Iterable[Finished]) -> None:
        """Write the settings and the finished contexts to the log, and nothing else."""
        data = _encode([{"settings": self._settings}, *map(asdict, finished)])
        if not self.path.exists() or data != self.path.read_bytes():
            write_atomically(self.path, data)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of the whole lines of a JSONL file; torn and damaged ones are left out."""
    if not path.exists():
        return
    *lines, _ = path.read_bytes().split(b"\n")
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def _encode(rows: Iterable[Row]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
