"""A run's folder: named by a hash of the configuration, locked by one process, resumed.

    results/runs/<hash>/records.csv   one line per question
                        run.json      configuration, environment, command, times, status, checks
                        lock          held while a process writes

The hash covers everything in the command that could change a row. The environment (versions,
processor) could change a row too; it is compared with the one in run.json, so that rows of two
environments never share a file.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.errors import UserError, reading
from harness.files import locked, write_atomically
from harness.run.environment import changes
from harness.run.metadata import RECORDS, RUN
from harness.run.records import Key, Records, Row, recover

AT_ONCE = 2000  # rows that are synced to the disk together, where no sample is waited for


def folder_name(configuration: Mapping[str, Any]) -> str:
    """Return the name of the folder for a configuration."""
    text = json.dumps(configuration, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def refuse_existing(folder: Path) -> None:
    """Refuse a folder that is there, before anything is made for it."""
    if folder.exists():
        raise UserError(f"{folder} exists. Give another folder with --output.")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to write into, which takes this name when all is written, or is removed.

    Raises:
        UserError: the folder exists.
    """
    refuse_existing(folder)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_finished(
    folder: Path,
    header: tuple[str, ...],
    rows: Iterable[Row],
    describe: Callable[[], Mapping[str, Any]],
) -> None:
    """Write the rows and `run.json` of a run into a new folder, whole or not at all.

    Args:
        folder: the new folder.
        header: of records.csv.
        rows: taken as they are written.
        describe: returns what `run.json` says, once the rows are written.

    Raises:
        UserError: the folder exists.
    """
    with new_folder(folder) as unfinished:
        left = iter(rows)
        with closing(Records(unfinished / RECORDS, header)) as records:
            while some := list(islice(left, AT_ONCE)):
                records.append(some)
        text = json.dumps({**describe(), "finished": now()}, indent=2) + "\n"
        (unfinished / RUN).write_text(text, encoding="utf-8")


class RunFolder:
    """One run's folder, locked while the context is open. No file is made before that."""

    def __init__(
        self, out: Path, *, configuration: Mapping[str, Any], command: str, headline: str = ""
    ) -> None:
        self.path = out / folder_name(configuration)
        self.records = self.path / RECORDS
        self._configuration = configuration
        self._command = command
        self._headline = headline  # for the tables: decides no row
        self._run: dict[str, Any] = {}
        self._started = False
        self._lock = ExitStack()

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock.enter_context(locked(self.path / "lock", protected=self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        try:
            if self._started:
                self._end(kind)
        finally:
            self._lock.close()

    def resume(
        self,
        environment: Mapping[str, Any],
        *,
        header: tuple[str, ...],
        questions: Mapping[Key, int],
        restart: bool,
    ) -> dict[Key, str]:
        """Drop the unfinished samples of an earlier process and return the finished ones.

        Raises:
            UserError: they were measured in another environment.
        """
        if restart:
            self.records.unlink(missing_ok=True)
        finished = recover(self.records, header, questions)
        self._run = self._read() if finished else {"started": now()}
        changed = changes(self._run.get("environment", {}), environment) if finished else []
        if changed:
            raise UserError(
                f"{self.path} was begun in another environment ({'; '.join(changed)}). "
                "Go back to that one, or start over with --restart."
            )
        return finished

    @property
    def is_finished(self) -> bool:
        """Whether an earlier process finished this run."""
        return bool(self._run.get("status") == "finished")

    @property
    def checks(self) -> list[Any] | None:
        """The checks that an earlier process made before it measured these rows, if any."""
        found = self._run.get("proofs")
        return found if isinstance(found, list) else None

    def start(
        self, environment: Mapping[str, Any], *, notices: Sequence[str], checks: Sequence[Any]
    ) -> None:
        """Write to `run.json` what is about to run; leaving the context adds how it ended."""
        self._started = True
        self._write(
            status="running",
            command=self._command,
            headline=self._headline,
            finished=None,
            notices=list(notices),
            proofs=list(checks),  # the key of earlier versions
            configuration=self._configuration,
            environment=environment,
        )

    def check_again(self, checks: Sequence[Any]) -> None:
        """Write the checks as they are after the last row."""
        self._write(proofs=list(checks))

    def declare_headline(self) -> None:
        """Write the headline of this command to the `run.json` of a run that is finished."""
        if self._run.get("headline", "") != self._headline:
            self._write(headline=self._headline)

    def _end(self, failure: type[BaseException] | None) -> None:
        status = "finished"
        if failure:
            status = "interrupted" if issubclass(failure, KeyboardInterrupt) else "failed"
        # A full disk is what may have stopped the run: then that error is the one to show.
        with suppress(OSError) if failure else nullcontext():
            self._write(status=status, finished=now())

    def _read(self) -> dict[str, Any]:
        path = self.path / RUN
        with reading(path, advice="Start over with --restart."):
            run = dict(json.loads(path.read_text(encoding="utf-8")))
            if not isinstance(run.get("environment", {}), dict):
                raise ValueError("its environment is no JSON object")
        return run

    def _write(self, **changed: object) -> None:
        self._run.update(changed)
        text = json.dumps(self._run, indent=2, default=str) + "\n"
        write_atomically(self.path / RUN, text.encode())


def now() -> str:
    """Return the time as `run.json` has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
