"""A run's folder: found by what decides its rows, held by one process, resumed by the same command.

    results/runs/<hash>/records.csv   one line per question
                        run.json      configuration, environment, command, times, status, proofs
                        lock          held while a process writes

The hash covers everything that could change a row. What could change a row and is not part of the
command (versions, processor) is compared instead: rows of two environments never share a file.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.environment import changes
from harness.errors import UserError
from harness.records import Key, mend

if sys.platform != "win32":
    import fcntl


def folder_name(configuration: Mapping[str, Any]) -> str:
    """Return the name of the folder for a configuration."""
    text = json.dumps(configuration, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class RunFolder:
    """One run's folder, locked while the context is open; no file is made before it is entered."""

    def __init__(self, out: Path, *, configuration: Mapping[str, Any], command: str) -> None:
        self.path = out / folder_name(configuration)
        self.records = self.path / "records.csv"
        self._configuration = configuration
        self._command = command
        self._run: dict[str, Any] = {}
        self._started = False

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path / "lock")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        try:
            if self._started:
                self._end(kind)
        finally:
            os.close(self._lock)

    def resume(
        self,
        environment: Mapping[str, Any],
        *,
        header: tuple[str, ...],
        questions: Mapping[Key, int],
        restart: bool,
    ) -> dict[Key, str]:
        """Mend what an earlier process left and return the samples that are finished.

        Raises:
            UserError: they were measured in another environment.
        """
        if restart:
            self.records.unlink(missing_ok=True)
        finished = mend(self.records, header, questions)
        self._run = self._read() if finished else {"started": _now()}
        changed = changes(self._run.get("environment", {}), environment) if finished else []
        if changed:
            raise UserError(
                f"{self.path} was begun in another environment ({'; '.join(changed)}). "
                "Go back to that one, or start over with --restart."
            )
        return finished

    @property
    def is_finished(self) -> bool:
        """Whether an earlier process ended this run in good order."""
        return bool(self._run.get("status") == "finished")

    @property
    def proofs(self) -> list[Any] | None:
        """What an earlier process has checked before it measured these rows; None: nothing."""
        found = self._run.get("proofs")
        return found if isinstance(found, list) else None

    def start(
        self, environment: Mapping[str, Any], *, notices: Sequence[str], proofs: Sequence[Any]
    ) -> None:
        """Say in `run.json` what is about to be run; leaving the context says how it ended."""
        self._started = True
        self._write(
            status="running",
            command=self._command,
            finished=None,
            notices=list(notices),
            proofs=list(proofs),
            configuration=self._configuration,
            environment=environment,
        )

    def _end(self, failure: type[BaseException] | None) -> None:
        status = "finished"
        if failure:
            status = "interrupted" if issubclass(failure, KeyboardInterrupt) else "failed"
        # A full disk is what may have stopped the run: then that error is the one to show.
        with suppress(OSError) if failure else nullcontext():
            self._write(status=status, finished=_now())

    def _read(self) -> dict[str, Any]:
        path = self.path / "run.json"
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as damaged:
            raise UserError(f"{path} cannot be read. Start over with --restart.") from damaged
        return run if isinstance(run, dict) else {}

    def _write(self, **changed: object) -> None:
        self._run.update(changed)
        path = self.path / "run.json"
        written = path.with_suffix(".tmp")
        written.write_text(json.dumps(self._run, indent=2, default=str) + "\n", encoding="utf-8")
        written.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _locked(path: Path) -> int:
    """Return an open file that no other process can lock; Windows has no such lock."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.read(file, 32).decode().strip() or "unknown"
            os.close(file)
            raise UserError(
                f"process {other} is writing to {path.parent}. Wait for it, or stop it first."
            ) from None
    os.truncate(file, 0)
    os.write(file, f"{os.getpid()}\n".encode())
    return file
