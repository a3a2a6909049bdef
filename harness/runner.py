"""The runner: every suite with every backend, sample after sample, one row per question.

It owns what is the same for every backend: the clock and the peak, how many questions are asked at
once, how many contexts are held, what becomes of a failure. Backends answer and measure nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.api import Backend, Generation, Model, PreparedContext, Question, Sample
from harness.controls import Reading, Task
from harness.environment import environment
from harness.errors import OutOfMemory, SampleError
from harness.measure import Measurement, Meter, memory_errors
from harness.plan import Cell, Job, Plan
from harness.progress import Progress
from harness.records import Cell as Value
from harness.records import Key, Records, Row, evidence_recall
from harness.runfolder import RunFolder
from harness.spec import build

_WARM_UP = ("Ann lives in a small town near the sea.", "Where does Ann live?")


@dataclass(frozen=True, slots=True)
class _Bench:
    """What all cells of a run share."""

    model: Model
    meter: Meter
    records: Records
    progress: Progress
    batch_size: int
    count_tokens: Callable[[str], int]


def run(
    plan: Plan,
    model: Model,
    *,
    out: Path,
    command: str,
    restart: bool = False,
    prove: Callable[[], Sequence[Mapping[str, Any]]] = list,
) -> Path:
    """Run what is not finished yet and return the run's folder.

    Args:
        plan: what to run.
        model: the loaded model; is left as it was found.
        out: the folder that holds the folders of runs.
        command: what the user typed, for `run.json`.
        restart: drop what an earlier process has left.
        prove: checks what the rows rest on, once for a run and before the first of them; what it
            returns is kept in `run.json`.

    Raises:
        UserError: another process has the folder, or the environment has changed.
    """
    questions = plan.questions()
    header = plan.header()
    with RunFolder(out, configuration=plan.configuration(model), command=command) as folder:
        now = environment(model.device)
        finished = folder.resume(now, header=header, questions=questions, restart=restart)
        cells = list(_unfinished(plan, finished))
        if cells or not folder.is_finished:
            proofs = folder.proofs if folder.proofs is not None else prove()
            folder.start(now, notices=plan.notices, proofs=proofs)
            left = sum(task.questions for cell in cells for task in cell.tasks)
            total = sum(questions.values())
            with Progress(total=total, done=total - left) as progress:
                records = Records(folder.records, header)
                try:
                    _run_cells(cells, model, records, progress, plan.settings.batch_size)
                finally:
                    records.close()
    return folder.path


def _unfinished(plan: Plan, finished: Mapping[Key, str]) -> Iterator[Cell]:
    for cell in plan.cells():
        job, arm = cell.job, cell.arm
        errors = {s.id: finished.get(Key(job.name, arm.name, s.id)) for s in job.samples}
        stopped = {s.contexts_held for s in job.samples if _stops(job, errors[s.id])}
        tasks = tuple(
            task
            for task in cell.tasks
            if errors[task.sample.id] is None and task.sample.contexts_held not in stopped
        )
        if tasks:
            yield replace(cell, tasks=tasks)


def _stops(job: Job, error: Value) -> bool:
    """Return whether a sweep ends here: what is larger will not fit either."""
    return not job.suite.metrics and error == OutOfMemory.code


def _run_cells(
    cells: Sequence[Cell], model: Model, records: Records, progress: Progress, batch_size: int
) -> None:
    def count_tokens(text: str) -> int:
        return len(model.tokenizer.encode(text))

    meter = Meter(model.device)
    bench = _Bench(model, meter, records, progress, batch_size, cache(count_tokens))
    for cell in cells:
        if len(cells) > 1:  # 0.3 s, and one cell alone has nothing before it
            meter.clear()
        progress.label(f"{cell.job.name} {cell.arm.name}")
        backend: Backend = build(cell.arm.kind, cell.arm.spec, model)
        try:
            _warm_up(backend)
            meter.settle()
            _run_cell(bench, cell, backend)
        finally:
            backend.close()
            del backend
            meter.unsettle()


def _warm_up(backend: Backend) -> None:
    """Ask once, unmeasured: the first request of a process pays for what all others find ready."""
    context, question = _WARM_UP
    try:
        with memory_errors():
            state = backend.prepare(context)
            try:
                state.generate([question], max_new_tokens=2)
            finally:
                state.close()
    except SampleError:
        pass  # the samples will tell


def _run_cell(bench: _Bench, cell: Cell, backend: Backend) -> None:
    stopped: set[int] = set()
    for task in cell.tasks:
        sample = task.sample
        if sample.contexts_held not in stopped:
            rows = _run_task(bench, cell, backend, task)
            bench.records.append(rows)
            if _stops(cell.job, rows[0].get("error")):
                stopped.add(sample.contexts_held)
        bench.progress.advance(task.questions)


def _run_task(bench: _Bench, cell: Cell, backend: Backend, task: Task) -> list[Row]:
    return [
        row
        for reading in task.readings
        for row in _run_reading(bench, cell, backend, task.sample, reading)
    ]


def _run_reading(
    bench: _Bench, cell: Cell, backend: Backend, sample: Sample, reading: Reading
) -> list[Row]:
    """Return the rows of a reading: what was measured before a failure stays, answers do not."""
    shared: dict[str, Value] = {
        "suite": cell.job.name,
        "backend": cell.arm.name,
        "model": bench.model.name,
        "sample_id": sample.id,
        "context_tokens": bench.count_tokens(sample.context),
        "max_new_tokens": sample.max_new_tokens,
        "contexts_held": sample.contexts_held,
        "memory_kind": bench.meter.memory_kind,
        "notice": cell.arm.notice,
    }
    held: list[PreparedContext] = []
    try:
        with memory_errors():
            shared |= _prepare(bench.meter, backend, sample, reading, held)
            answers = _ask_all(bench, cell.job, sample, reading, held[-1])
    except SampleError as failed:
        shared["error"] = failed.code
        shared["notice"] = "; ".join(filter(None, (cell.arm.notice, str(failed))))
        answers = [_asked(sample, question) for question in reading.questions]
    finally:
        for state in held:
            state.close()
    return [shared | answer for answer in answers]


def _prepare(
    meter: Meter,
    backend: Backend,
    sample: Sample,
    reading: Reading,
    held: list[PreparedContext],
) -> dict[str, Value]:
    """Fill `held`; the last context is the one that is measured, with the others in memory."""
    for _ in range(sample.contexts_held - 1):
        held.append(backend.prepare(reading.context))
    state, taken = meter.measure(lambda: backend.prepare(reading.context))
    held.append(state)
    return {
        "baseline_bytes": taken.baseline_bytes,
        "held_bytes": sum(state.held_bytes for state in held),
        **_costs("prepare", taken),
    }


def _ask_all(
    bench: _Bench, job: Job, sample: Sample, reading: Reading, state: PreparedContext
) -> list[dict[str, Value]]:
    # A suite that shows costs asks one question at a time: a batch would hide its time.
    size = bench.batch_size if job.suite.metrics else 1
    rows: list[dict[str, Value]] = []
    for start in range(0, len(reading.questions), size):
        batch = reading.questions[start : start + size]
        generations, costs = _ask(bench.meter, state, sample, batch)
        batch_id = f"{sample.id}#{reading.label}{start // size}"
        costs |= {"batch_id": batch_id, "batch_size": len(batch)}
        for question, generation in zip(batch, generations, strict=True):
            rows.append(_answered(job, sample, question, generation) | costs)
    return rows


def _ask(
    meter: Meter, state: PreparedContext, sample: Sample, batch: Sequence[Question]
) -> tuple[list[Generation], dict[str, Value]]:
    texts = [question.text for question in batch]
    generations, taken = meter.measure(
        lambda: state.generate(
            texts, max_new_tokens=sample.max_new_tokens, min_new_tokens=sample.min_new_tokens
        )
    )
    return generations, _costs("generate", taken)


def _answered(
    job: Job, sample: Sample, question: Question, generation: Generation
) -> dict[str, Value]:
    metrics = (
        job.suite.score(question, generation.text, sample.context) if job.suite.metrics else {}
    )
    return {
        **_asked(sample, question),
        "context_entries": generation.context_entries,
        "prompt_tokens": generation.prompt_tokens,
        "new_tokens": generation.new_tokens,
        **{name: float(value) for name, value in metrics.items()},
        "evidence_recall": evidence_recall(question, generation.evidence),
        "answer": generation.text,
        "evidence": generation.evidence or None,
    }


def _asked(sample: Sample, question: Question) -> dict[str, Value]:
    """Return what is known of a question before it is answered."""
    slices = {**sample.slices, **question.slices}
    return {"question_id": question.id, **slices, "targets": question.targets}


def _costs(phase: str, taken: Measurement) -> dict[str, Value]:
    return {
        f"{phase}_s": taken.seconds,
        f"{phase}_peak_bytes": taken.peak_bytes,
        f"{phase}_reserved_bytes": taken.reserved_bytes,
    }
