"""A worker of `harness.run.workers`: an actor of Ray, in a process and on a device of its own.

It loads the model once and does samples with it, as the process of a run without Ray does. It
writes nothing: rows go back to the process that was started by hand.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.errors import UserError
from harness.run.controls import ControlledSample
from harness.run.engine import OneProcess, finish
from harness.run.environment import changes, code_hash
from harness.run.plan import Cell, Configuration, Job
from harness.run.records import Row

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker says of itself when it has loaded the model."""

    node: str  # the machine, by its address
    device: str  # the same for all workers that would disturb each other's measurements
    environment: dict[str, Any]
    code: str  # a hash of what decides the rows
    fingerprint: str  # of the model

    def refuse_unlike(self, other: "Facts") -> None:
        """Refuse a worker whose rows could differ from those of this one."""
        different = changes(self.environment, other.environment)
        pairs = {"code of gist-bench": (self.code, other.code)}
        pairs["weights of the model"] = self.fingerprint, other.fingerprint
        different += [f"{what} {a} -> {b}" for what, (a, b) in pairs.items() if a != b]
        if different:
            raise UserError(
                f"the Ray workers at {self.node} and {other.node} differ ({'; '.join(different)}). "
                "Give Ray machines that are alike, with the same packages and model."
            )


@dataclass(frozen=True, slots=True)
class Heard(Generic[T]):
    """What a call returned, and what was logged meanwhile."""

    result: T
    log: Sequence[logging.LogRecord]


class Worker:
    """One process with the model; Ray makes it anew where it was killed."""

    def __init__(self, opener: Callable[[], OneProcess], folder: Path, threads: int) -> None:
        if folder.is_dir():  # paths of models, data and adapters are those of the command
            os.chdir(folder)
        sys.path.append(str(folder))  # for module:Class
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported
        self._opener = opener

    @cached_property
    def _tested(self) -> OneProcess:
        return self._opener()

    def load(self) -> Heard[Facts]:
        """Load the model."""
        with _heard() as log:
            return Heard(self._facts(), log)

    def call(self, function: Callable[[OneProcess], T]) -> Heard[T]:
        """Return what a function makes of the model."""
        with _heard() as log:
            return Heard(function(self._tested), log)

    def finish(
        self,
        job: Job,
        configuration: Configuration,
        samples: tuple[ControlledSample, ...],
        stopped: Set[int],
        batch_size: int,
    ) -> Iterator[tuple[Sequence[Row], float]]:
        """Yield the rows of each sample, and the seconds it took."""
        bench = self._tested.bench(batch_size)
        bench.meter.clear()
        cell = Cell(job, configuration, samples)
        for done in finish(bench, [cell], lambda _: None, stopped):
            yield done.rows, done.seconds

    def _facts(self) -> Facts:
        import ray

        model, here = self._tested.model, ray.get_runtime_context()
        gpus = here.get_accelerator_ids().get("GPU", [])
        return Facts(
            node=ray.util.get_node_ip_address(),
            device=" ".join([here.get_node_id(), *map(str, gpus)]),
            environment=self._tested.environment(),
            code=code_hash([]),
            fingerprint=model.fingerprint,
        )


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.log: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None  # can travel
        self.log.append(record)


@contextmanager
def _heard() -> Iterator[list[logging.LogRecord]]:
    """Collect what a run in one process would show on the terminal."""
    listener = _Listener()
    logging.getLogger().addHandler(listener)
    try:
        yield listener.log
    finally:
        logging.getLogger().removeHandler(listener)
