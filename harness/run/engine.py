"""Where the samples of a run are done: here, in this process, one after the other.

`harness.run.workers` does them in processes of Ray. Neither writes anything: finished samples come
to `harness.run.runner` one by one.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from harness.api import Backend, Model, Suite
from harness.errors import SampleError
from harness.run.cell import Bench, CellRun, Finished
from harness.run.choose import Choice
from harness.run.environment import environment
from harness.run.handed import prepare
from harness.run.measure import Meter, memory_errors
from harness.run.plan import Cell, Plan, Settings
from harness.run.planning import plans_of
from harness.run.spec import Spec, build
from harness.served.kept import KeptReplies

Begin = Callable[[Cell], object]
"""Is told which cell has begun to run."""

_WARM_UP = ("Ann lives in a small town near the sea.", "Where does Ann live?")


class Engine(Protocol):
    """A tested model, and who asks it."""

    @property
    def workers(self) -> int:
        """How many samples are done at once; with several, they come in any order."""

    def plans(
        self,
        suites: Sequence[tuple[Choice, Suite]],
        backends: Sequence[Choice],
        settings: Sequence[Settings],
    ) -> Iterable[Plan]:
        """Return a plan for each of some settings that differ in their seed."""

    def identity(self, plan: Plan) -> dict[str, Any]:
        """Return everything that could change a row; its hash names the run's folder."""

    def environment(self) -> dict[str, Any]:
        """Return the versions and the machine that rows depend on."""

    def run_checks(self, plan: Plan) -> Sequence[Mapping[str, Any]]:
        """Make the validity checks of a plan."""

    def finish(
        self, cells: Sequence[Cell], batch_size: int, folder: Path, begin: Begin
    ) -> Generator[Finished, None, None]:
        """Do all samples; the rows of one are in the run's folder when the next is taken."""

    def close(self) -> None:
        """End what was started for it."""


@dataclass(frozen=True, slots=True)
class OneProcess:
    """A model in this process, and what only its kind needs; is left as it was found."""

    model: Model
    checks: Callable[[Plan], Sequence[Mapping[str, Any]]] = lambda _: ()  # of adapters and backends
    notices: Callable[[Plan], Sequence[str]] = lambda _: ()  # about adapters and the data
    keeper: KeptReplies | None = None  # of a served model: replies that were paid for
    workers: int = 1

    def plans(
        self,
        suites: Sequence[tuple[Choice, Suite]],
        backends: Sequence[Choice],
        settings: Sequence[Settings],
    ) -> Iterator[Plan]:
        """Yield a plan for each of some settings that differ in their seed."""
        for plan in plans_of(self.model, suites, backends, settings):
            yield replace(plan, notices=(*plan.notices, *self.notices(plan)))

    def identity(self, plan: Plan) -> dict[str, Any]:
        """Return everything that could change a row."""
        return plan.identity(self.model)

    def environment(self) -> dict[str, Any]:
        """Return the versions and the machine."""
        return environment(self.model.device)

    def run_checks(self, plan: Plan) -> Sequence[Mapping[str, Any]]:
        """Make the validity checks of a plan."""
        return self.checks(plan)

    def bench(self, batch_size: int) -> Bench:
        """Return what all cells of a run share."""
        model, keeper = self.model, self.keeper
        replayed = (lambda: keeper.replayed) if keeper else lambda: 0
        return Bench(model, Meter(model.device), batch_size, cache(model.count_tokens), replayed)

    def finish(
        self, cells: Sequence[Cell], batch_size: int, folder: Path, begin: Begin
    ) -> Generator[Finished, None, None]:
        """Do all samples in order."""
        with ExitStack() as resources:
            if self.keeper:
                self.keeper.open(folder)
                resources.callback(self.keeper.close)
            for finished in finish(self.bench(batch_size), cells, begin):
                yield finished
                if self.keeper:
                    self.keeper.written()

    def close(self) -> None:
        """Do nothing: nothing was started."""


def finish(
    bench: Bench, cells: Sequence[Cell], begin: Begin, stopped: Collection[int] = ()
) -> Iterator[Finished]:
    """Do the samples of cells in order, with one backend open at a time.

    Two open backends would stand in each other's memory peak, and both may change the model. So a
    backend is built again for each suite, unless it is the only one or the next in line: all
    backends answer a suite one after the other, on the machine as it is then, and a run that is
    stopped early can be compared. Of a cost sweep, `stopped` are the numbers of contexts held for
    which it has ended before.
    """
    groups = [list(group) for _, group in groupby(cells, key=_backend_of)]
    for group in groups:
        if len(groups) > 1:  # it takes 0.3 s, and a lone backend has none before it
            bench.meter.clear()
        with closing(build(*_backend_of(group[0]), bench.model)) as backend:
            with suppress(SampleError):  # the samples will show what does not fit
                warm_up(backend)
            with bench.meter.frozen_gc():
                for cell in group:
                    begin(cell)
                    yield from CellRun(bench, cell, backend).finish(stopped)


def _backend_of(cell: Cell) -> tuple[type[Backend], Spec]:
    return cell.configuration.kind, cell.configuration.spec


def warm_up(backend: Backend) -> None:
    """Ask once, unmeasured: the first request pays for what later ones find ready."""
    context, question = _WARM_UP
    with memory_errors(), closing(prepare(backend, context)) as state:
        state.generate([question], max_new_tokens=2)
