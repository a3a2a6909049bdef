"""Workers of Ray: the samples of a run, done on many GPUs or machines.

Ray starts a worker for each GPU, or for each core where there is none, starts it anew where it was
killed, and carries tasks and rows. A task is a part of a suite with one backend. What this module
adds is which task comes next: a suite that shows costs has its device to itself.
"""

import logging
import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from harness.api import Suite
from harness.errors import SampleError, UserError
from harness.run.cell import Finished, ends_sweep
from harness.run.choose import Choice
from harness.run.cluster import Heed, share_of
from harness.run.engine import Begin, OneProcess
from harness.run.plan import Cell, Plan, Settings
from harness.run.worker import Facts, Heard, Worker

STEP_S = 1.0  # of waiting, before it is asked whether Ctrl-C came
LOADING_S = 600.0  # a worker that has not begun by then waits for a device that others use
DEATHS = 3  # of workers at one task, before it is the task's fault
WHY = (
    "Was there too little memory? Its machine has logs in /tmp/ray/session_latest/logs. The same "
    "command goes on with what is left."
)

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class Remote:
    """A worker as the driver knows it."""

    actor: Any
    device: str = ""


@dataclass(slots=True)
class Task:
    """A part of a cell, and how far it is."""

    cell: Cell
    job: Any  # Ray's reference to the cell's job, without samples
    done: int = 0  # samples that came back
    stopped: set[int] = field(default_factory=set)  # numbers of contexts held whose sweep has ended
    deaths: int = 0

    def take(self, rows: Sequence[Mapping[str, Any]], seconds: float) -> Finished:
        """Count a sample that came back."""
        controlled = self.cell.samples[self.done]
        self.done += 1
        if rows and ends_sweep(self.cell.job, rows[0].get("error")):
            self.stopped.add(controlled.sample.contexts_held)
        return Finished(self.cell, controlled, rows, seconds)


def take_free(free: list[Remote], owners: dict[str, Remote] | None) -> Remote | None:
    """Take a worker that has nothing to do; with `owners`, always the same of a device."""
    for remote in free:
        if owners is None or owners.setdefault(remote.device, remote) is remote:
            free.remove(remote)
            return remote
    return None


class Workers:
    """The workers of one model, each of which loads it once."""

    def __init__(self, opener: Callable[[], OneProcess], heed: Heed, *, on_gpus: bool) -> None:
        """Start them, and wait for the first.

        Args:
            opener: loads the model, on the machine where it is called.
            heed: is called while workers are waited for.
            on_gpus: whether a worker gets a GPU where there is one.

        Raises:
            UserError: the model cannot be loaded.
        """
        import ray

        self._ray, self._heed = ray, heed
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        wanted = os.environ.get("OMP_NUM_THREADS", "")
        threads = int(wanted) if wanted.isdecimal() else 1
        self.share = share_of(nodes, max(1, threads), on_gpus=on_gpus)
        log.warning(f"Ray: {self.share}; each loads the model")
        kind = ray.remote(Worker).options(
            num_gpus=self.share.gpus,
            num_cpus=self.share.cpus,
            max_restarts=-1,
            max_task_retries=DEATHS - 1,  # of all calls but those that do samples
        )
        threads_each = max(1, self.share.cpus)
        remotes = [
            Remote(kind.remote(opener, Path.cwd(), threads_each)) for _ in range(self.workers)
        ]
        self._loading = {remote.actor.load.remote(): remote for remote in remotes}
        self._free: list[Remote] = []
        self._facts = self._take_up(self._wait(self._loading)[0])
        self._lead = self._free[0].actor

    @property
    def workers(self) -> int:
        """How many samples are done at once."""
        return self.share.workers

    def plans(
        self,
        suites: Sequence[tuple[Choice, Suite]],
        backends: Sequence[Choice],
        settings: Sequence[Settings],
    ) -> list[Plan]:
        """Return a plan for each of some settings that differ in their seed."""
        return self._call(lambda tested: list(tested.plans(suites, backends, settings)))

    def identity(self, plan: Plan) -> dict[str, Any]:
        """Return everything that could change a row."""
        return self._call(lambda tested: tested.identity(plan))

    def environment(self) -> dict[str, Any]:
        """Return the versions and the machine, the same for all workers, and how many there are."""
        return {**self._facts.environment, "ray": asdict(self.share)}

    def run_checks(self, plan: Plan) -> Sequence[Mapping[str, Any]]:
        """Let the first worker make the validity checks."""
        return self._call(lambda tested: tested.run_checks(plan))

    def close(self) -> None:
        """End the workers, which gives their devices back."""
        for remote in self._free:
            self._ray.kill(remote.actor)

    def finish(
        self,
        cells: Sequence[Cell],
        batch_size: int,
        folder: Path,  # noqa: ARG002 - for what an engine keeps beside the rows
        begin: Begin,
    ) -> Generator[Finished, None, None]:
        """Do all samples; those of suites that show costs with nothing beside them."""
        jobs: dict[str, Any] = {}
        for shows_costs, group in groupby(cells, key=lambda cell: not cell.job.suite.metrics):
            if shows_costs and self._loading:
                self._await_loading()
            tasks: deque[Task] = deque()
            for cell in group:
                name = cell.job.name
                if name not in jobs:
                    jobs[name] = self._ray.put(replace(cell.job, samples=()))
                # Each worker opens each backend once for a suite, as one process would.
                parts = 1 if shows_costs else min(self.workers, len(cell.samples))
                for first in range(parts):
                    part = replace(cell, samples=cell.samples[first::parts])
                    tasks.append(Task(part, jobs[name]))
            yield from self._do(tasks, partial(self._start, batch_size, begin), alone=shows_costs)

    def _start(self, batch_size: int, begin: Begin, remote: Remote, task: Task) -> Any:
        begin(task.cell)
        left = task.cell.samples[task.done :]
        method = remote.actor.finish.options(max_task_retries=0)
        return method.remote(task.job, task.cell.configuration, left, task.stopped, batch_size)

    def _do(
        self, tasks: deque[Task], start: Callable[[Remote, Task], Any], *, alone: bool
    ) -> Iterator[Finished]:
        """Give a task to each free worker until none is left.

        A worker that died does not hold its task: what is left of it goes to the next free one.
        """
        running: dict[Any, tuple[Remote, Task]] = {}
        owners: dict[str, Remote] = {}  # of devices, where nothing may run beside a task
        while tasks or running:
            while tasks and (remote := take_free(self._free, owners if alone else None)):
                task = tasks.popleft()
                running[start(remote, task)] = remote, task
            (ready,) = self._wait([*running, *self._loading])
            if ready in self._loading:
                self._facts.refuse_unlike(self._take_up(ready))
                continue
            remote, task = running.pop(ready)
            try:
                rows, seconds = self._get(next(ready))
            except StopIteration:
                self._free.append(remote)
            except self._ray.exceptions.RayActorError:
                if task.done < len(task.cell.samples):
                    tasks.appendleft(self._again(task))
                self._loading[remote.actor.load.remote()] = remote  # once Ray has made it anew
            else:
                running[ready] = remote, task  # behind the others, so that each has its turn
                yield task.take(rows, seconds)

    def _again(self, task: Task) -> Task:
        """Return the task, unless it is what the workers die of."""
        task.deaths += 1
        if task.deaths < DEATHS:
            log.warning("a worker died; another takes over what it had")
            return task
        cell, sample = task.cell, task.cell.samples[task.done].sample
        raise UserError(
            f"{DEATHS} workers died at sample {sample.id!r} of {cell.job.name} with "
            f"{cell.configuration.name}. {WHY}"
        )

    def _await_loading(self) -> None:
        """Wait for workers that load the model: nothing should run beside a measurement."""
        for loaded in self._wait(self._loading, len(self._loading), LOADING_S):
            self._facts.refuse_unlike(self._take_up(loaded))

    def _wait(self, answers: Iterable[Any], n: int = 1, most_s: float = math.inf) -> list[Any]:
        """Return `n` answers that are ready, or those that are after so many seconds."""
        waited, left = list(answers), most_s
        while True:
            self._heed()
            ready, _ = self._ray.wait(waited, num_returns=n, timeout=min(STEP_S, left))
            left -= STEP_S
            if len(ready) == n or left <= 0:
                return list(ready)

    def _take_up(self, loaded: Any) -> Facts:
        """Give work to a worker that has loaded the model."""
        remote = self._loading.pop(loaded)
        facts: Facts = self._heard(loaded)
        remote.device = facts.device
        self._free.append(remote)
        return facts

    def _call(self, function: Callable[[OneProcess], T]) -> T:
        """Return what a function makes of the model, in the first worker."""
        result: T = self._heard(self._lead.call.remote(function))
        return result

    def _heard(self, answer: Any) -> Any:
        """Return what a worker answered, and show what it logged."""
        try:
            heard: Heard[Any] = self._get(answer)
        except self._ray.exceptions.RayActorError as died:
            what = "loaded the model or made the checks"
            raise UserError(f"a worker died {DEATHS} times as it {what}. {WHY}") from died
        for record in heard.log:
            logging.getLogger(record.name).handle(record)
        return heard.result

    def _get(self, answer: Any) -> Any:
        """Return what a worker answered; a mistake that it met is raised as it was there."""
        self._wait([answer])
        try:
            return self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as failed:
            if isinstance(failed.cause, UserError | SampleError | OSError):
                raise failed.cause from None
            raise
