"""The runner: what a plan leaves to do is done by an engine, and written here.

Samples are done in this process or by workers elsewhere. Whoever does them, their rows come to
`run`, and it alone writes.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from harness.run.cell import ends_sweep
from harness.run.contexts import keep_contexts
from harness.run.engine import Engine
from harness.run.plan import Cell, Plan
from harness.run.progress import Progress
from harness.run.records import Key, Records, recover
from harness.run.runfolder import RunFolder
from harness.run.scores import with_scores


def run(
    plan: Plan,
    engine: Engine,
    *,
    out: Path,
    command: str,
    headline: str = "",
    restart: bool = False,
    contexts: bool = True,
) -> Path:
    """Run what is not finished yet and return the run's folder.

    The validity checks are made once for a run and before its first row, and kept in `run.json`.

    Args:
        plan: what to run.
        engine: does the samples.
        out: the folder that holds the folders of runs.
        command: what the user typed, for `run.json`.
        headline: the metric of the tables, where it is not the default; for `run.json`.
        restart: drop the rows of earlier processes.
        contexts: whether to keep the contexts beside the rows.

    Raises:
        UserError: another process has the folder, or the environment has changed.
    """
    questions = plan.questions()
    header = plan.header()
    identity = engine.identity(plan)
    with RunFolder(out, configuration=identity, command=command, headline=headline) as folder:
        now = engine.environment()
        finished = folder.resume(now, header=header, questions=questions, restart=restart)
        keep_contexts(folder.path, plan.jobs, wanted=contexts)
        cells = list(_unfinished(plan, finished))
        if cells or not folder.is_finished:
            checks = folder.checks if folder.checks is not None else engine.run_checks(plan)
            folder.start(now, notices=plan.notices, checks=checks)
            total, size = sum(questions.values()), plan.settings.batch_size
            with (
                Progress(cells, total=total, workers=engine.workers) as progress,
                closing(Records(folder.records, header)) as records,
                closing(engine.finish(cells, size, folder.path, progress.begin)) as samples,
            ):
                for sample in samples:
                    if sample.rows:
                        records.append(sample.rows)
                    progress.update(sample.cell, sample.controlled, sample.seconds)
            if engine.workers > 1:  # tables and pages follow the order of the rows
                recover(folder.records, header, questions)
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
