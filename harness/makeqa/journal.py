"""The files that are being made: rows of contexts, and beside them what became of each context.

    qa.jsonl        one line per context with its questions
    qa.test.jsonl   the same of other documents, if asked for
    qa.jsonl.log    first the settings, then one line per finished context: kept, dropped

A context's row is on the disk before its line in the log. So a process can be killed at any
moment: what is not in both is dropped, and asked for again.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.errors import UserError

if sys.platform != "win32":
    import fcntl

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a context."""

    id: str
    part: str  # the file that its row is in: train or test
    kept: Mapping[str, int]  # by kind; nothing kept: there is no row
    dropped: Mapping[str, int]  # by reason


class Journal:
    """The files of one output, locked and open for more while the context is open."""

    def __init__(self, parts: Mapping[str, Path], settings: Mapping[str, Any]) -> None:
        self._parts = dict(parts)
        self._settings = json.loads(json.dumps(settings))
        out = next(iter(self._parts.values()))
        self.path = out.with_name(f"{out.name}.log")
        self._files: dict[str, int] = {}
        self._log: int | None = None

    def open(self, *, restart: bool = False) -> dict[str, Finished]:
        """Mend what an earlier process left, and return the contexts that are finished.

        Raises:
            UserError: the files are of another making, or another process writes to them.
        """
        if not restart:
            self._check_ours()
        self._log = _open_locked(self.path)
        finished: dict[str, Finished] = {}
        if restart:
            for path in self._parts.values():
                path.unlink(missing_ok=True)
        else:
            finished = self._read()
            self._mend_parts(finished)
        self._rewrite_log(finished.values())
        self._files = {part: _append_to(path) for part, path in self._parts.items()}
        return finished

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        for file in (*self._files.values(), self._log):
            if file is not None:
                os.close(file)

    def add(self, finished: Finished, row: Row | None) -> None:
        """Write what became of a context; it is on the disk when this returns."""
        assert self._log is not None, "open the journal first"
        assert (row is None) == (not sum(finished.kept.values())), finished
        if row is not None:
            _write(self._files[finished.part], [row])
        _write(self._log, [asdict(finished)])

    def _check_ours(self) -> None:
        """Refuse files that this command has not begun."""
        if self.path.exists() and self.path.read_bytes().count(b"\n"):
            self._check_settings()
            return
        for path in self._parts.values():
            if path.exists() and path.stat().st_size:
                raise UserError(
                    f"{path} exists and was not begun by this command. Give another name, "
                    "or start over with --restart."
                )

    def _check_settings(self) -> None:
        begun = next(_lines(self.path), {}).get("settings")
        if not isinstance(begun, dict):
            raise UserError(f"{self.path} cannot be read. Start over with --restart.")
        for name in sorted({*begun, *self._settings}):
            before, now = begun.get(name), self._settings.get(name)
            if before != now:
                told = "" if isinstance(before, dict | list) else f" ({before}, now {now})"
                raise UserError(
                    f"{self.path.with_suffix('')} was begun with another {name}{told}. "
                    "Give what it was begun with, another --out, or --restart to drop it."
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

    def _mend_parts(self, finished: Mapping[str, Finished]) -> None:
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
                _replace(path, data)

    def _rewrite_log(self, finished: Iterable[Finished]) -> None:
        """Put the settings and what is finished into a new log; the lock goes over to it."""
        lines: list[Row] = [{"settings": self._settings}, *map(asdict, finished)]
        data = _encode(lines)
        if data == self.path.read_bytes():
            return
        new = self.path.with_name(f"{self.path.name}.tmp")
        new.unlink(missing_ok=True)
        file = _open_locked(new)
        _write(file, lines)
        new.replace(self.path)
        if self._log is not None:
            os.close(self._log)
        self._log = file


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


def _write(file: int, rows: Iterable[Row]) -> None:
    data = _encode(rows)
    while data:  # a write may be cut short by a full disk; the next one raises
        data = data[os.write(file, data) :]
    os.fsync(file)


def _append_to(path: Path) -> int:
    as_it_is = getattr(os, "O_BINARY", 0)  # Windows would write other line ends
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | as_it_is, 0o644)


def _open_locked(path: Path) -> int:
    """Return an open file that no other process can lock; Windows has no such lock."""
    file = _append_to(path)
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise UserError(
                f"another process is writing to {path.with_suffix('')}. Wait for it, or stop it."
            ) from None
    return file


def _replace(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file, so that a crash leaves one or the other."""
    new = path.with_name(f"{path.name}.tmp")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
