"""The runner: every suite with every backend, in the order of the plan, resumed where it ended."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.api import Backend, Model
from harness.errors import SampleError
from harness.run.cell import Bench, CellRun, ends_sweep
from harness.run.contexts import keep_contexts
from harness.run.environment import environment
from harness.run.measure import Meter, memory_errors
from harness.run.plan import Cell, Plan
from harness.run.progress import Progress
from harness.run.records import Key, Records
from harness.run.runfolder import RunFolder
from harness.run.scores import with_scores
from harness.run.spec import Spec, build
from harness.served.kept import KeptReplies

_WARM_UP = ("Ann lives in a small town near the sea.", "Where does Ann live?")


@dataclass(frozen=True, slots=True)
class Tested:
    """A model that a run tests, and what only its kind needs."""

    model: Model
    run_checks: Callable[[Plan], Sequence[Mapping[str, Any]]]  # the validity checks of adapters
    notices: Callable[[Plan], Sequence[str]] = lambda _: ()  # about adapters and the data
    keeper: KeptReplies | None = None  # of a served model


def run(
    plan: Plan,
    model: Model,
    *,
    out: Path,
    command: str,
    headline: str = "",
    restart: bool = False,
    run_checks: Callable[[], Sequence[Mapping[str, Any]]] = list,
    keeper: KeptReplies | None = None,
    contexts: bool = True,
) -> Path:
    """Run what is not finished yet and return the run's folder.

    Args:
        plan: what to run.
        model: the loaded model; is left as it was found.
        out: the folder that holds the folders of runs.
        command: what the user typed, for `run.json`.
        headline: the metric of the tables, where it is not the default; for `run.json`.
        restart: drop the rows of earlier processes.
        run_checks: makes the validity checks, once for a run and before its first row; their
            results are kept in `run.json`.
        keeper: keeps replies that were paid for until their rows are written.
        contexts: whether to keep the contexts beside the rows.

    Raises:
        UserError: another process has the folder, or the environment has changed.
    """
    questions = plan.questions()
    header = plan.header()
    identity = plan.identity(model)
    with RunFolder(out, configuration=identity, command=command, headline=headline) as folder:
        now = environment(model.device)
        finished = folder.resume(now, header=header, questions=questions, restart=restart)
        keep_contexts(folder.path, plan.jobs, wanted=contexts)
        cells = list(_unfinished(plan, finished))
        if cells or not folder.is_finished:
            checks = folder.checks if folder.checks is not None else run_checks()
            folder.start(now, notices=plan.notices, checks=checks)
            with (
                Progress(cells, total=sum(questions.values())) as progress,
                closing(Records(folder.records, header)) as records,
                ExitStack() as resources,
            ):
                if keeper:
                    keeper.open(folder.path)
                    resources.callback(keeper.close)
                bench = Bench(
                    model,
                    Meter(model.device),
                    records,
                    progress,
                    plan.settings.batch_size,
                    cache(model.count_tokens),
                    keeper.written if keeper else lambda: None,
                    (lambda: keeper.replayed) if keeper else lambda: 0,
                )
                _run_cells(bench, cells)
            folder.check_again(with_scores(folder.checks or (), plan, folder.records))
        else:
            folder.declare_headline()
    return folder.path


def _unfinished(plan: Plan, finished: Mapping[Key, str]) -> Iterator[Cell]:
    for cell in plan.cells():
        job, configuration = cell.job, cell.configuration
        errors = {s.id: finished.get(Key(job.name, configuration.name, s.id)) for s in job.samples}
        stopped = {s.contexts_held for s in job.samples if ends_sweep(job, errors[s.id])}
        samples = tuple(
            each
            for each in cell.samples
            if errors[each.sample.id] is None and each.sample.contexts_held not in stopped
        )
        if samples:
            yield replace(cell, samples=samples)


def _run_cells(bench: Bench, cells: Sequence[Cell]) -> None:
    """Run the cells in order, with one backend open at a time.

    Two open backends would stand in each other's memory peak, and both may change the model. So a
    backend is built again for each suite, unless it is the only one or the next in line: all
    backends answer a suite one after the other, on the machine as it is then, and a run that is
    stopped early can be compared.
    """
    groups = [list(group) for _, group in groupby(cells, key=_backend_of)]
    for group in groups:
        if len(groups) > 1:  # it takes 0.3 s, and a lone backend has none before it
            bench.meter.clear()
        _run_with_one_backend(bench, group)


def _run_with_one_backend(bench: Bench, cells: Sequence[Cell]) -> None:
    with closing(build(*_backend_of(cells[0]), bench.model)) as backend:
        with suppress(SampleError):  # the samples will show what does not fit
            warm_up(backend)
        with bench.meter.frozen_gc():
            for cell in cells:
                bench.progress.begin(cell)
                CellRun(bench, cell, backend).run()


def _backend_of(cell: Cell) -> tuple[type[Backend], Spec]:
    return cell.configuration.kind, cell.configuration.spec


def warm_up(backend: Backend) -> None:
    """Ask once, unmeasured: the first request pays for what later ones find ready."""
    context, question = _WARM_UP
    with memory_errors(), closing(backend.prepare(context)) as state:
        state.generate([question], max_new_tokens=2)
