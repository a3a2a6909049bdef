"""The runner: every suite with every backend, sample after sample, one row per question.

It owns what is the same for every backend: the clock and the peak, how many questions are asked at
once, how many contexts are held, what becomes of a failure. Backends answer and measure nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.api import Backend, Generation, Model, PreparedContext, Question, Sample
from harness.environment import environment
from harness.errors import OutOfMemory, SampleError
from harness.measure import Measurement, Meter, memory_errors
from harness.plan import Arm, Job, Plan
from harness.progress import Progress
from harness.records import Cell, Key, Records, Row, evidence_recall
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


@dataclass(frozen=True, slots=True)
class _Cell:
    """One suite with one backend, and the samples that are still to be run."""

    job: Job
    arm: Arm
    samples: Sequence[Sample]


def run(plan: Plan, model: Model, *, out: Path, command: str, restart: bool = False) -> Path:
    """Run what is not finished yet and return the run's folder.

    Args:
        plan: what to run.
        model: the loaded model; is left as it was found.
        out: the folder that holds the folders of runs.
        command: what the user typed, for `run.json`.
        restart: drop what an earlier process has left.

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
            folder.start(now, notices=plan.notices)
            left = sum(len(s.questions) for cell in cells for s in cell.samples)
            total = sum(questions.values())
            with Progress(total=total, done=total - left) as progress:
                records = Records(folder.records, header)
                try:
                    _run_cells(cells, model, records, progress, plan.settings.batch_size)
                finally:
                    records.close()
    return folder.path


def _unfinished(plan: Plan, finished: Mapping[Key, str]) -> Iterator[_Cell]:
    for job, arm in plan.cells():
        errors = {s.id: finished.get(Key(job.name, arm.name, s.id)) for s in job.samples}
        stopped = {s.contexts_held for s in job.samples if _stops(job, errors[s.id])}
        samples = [
            sample
            for sample in job.samples
            if errors[sample.id] is None and sample.contexts_held not in stopped
        ]
        if samples:
            yield _Cell(job, arm, samples)


def _stops(job: Job, error: Cell) -> bool:
    """Return whether a sweep ends here: what is larger will not fit either."""
    return not job.suite.metrics and error == OutOfMemory.code


def _run_cells(
    cells: Sequence[_Cell], model: Model, records: Records, progress: Progress, batch_size: int
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


def _run_cell(bench: _Bench, cell: _Cell, backend: Backend) -> None:
    stopped: set[int] = set()
    for sample in cell.samples:
        if sample.contexts_held not in stopped:
            rows = _run_sample(bench, cell, backend, sample)
            bench.records.append(rows)
            if _stops(cell.job, rows[0].get("error")):
                stopped.add(sample.contexts_held)
        bench.progress.advance(len(sample.questions))


def _run_sample(bench: _Bench, cell: _Cell, backend: Backend, sample: Sample) -> list[Row]:
    """Return the rows of a sample: what was measured before a failure stays, answers do not."""
    shared: dict[str, Cell] = {
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
            shared |= _prepare(bench.meter, backend, sample, held)
            answers = _ask_all(bench, cell.job, sample, held[-1])
    except SampleError as failed:
        shared["error"] = failed.code
        shared["notice"] = "; ".join(filter(None, (cell.arm.notice, str(failed))))
        answers = [_asked(sample, question) for question in sample.questions]
    finally:
        for state in held:
            state.close()
    return [shared | answer for answer in answers]


def _prepare(
    meter: Meter, backend: Backend, sample: Sample, held: list[PreparedContext]
) -> dict[str, Cell]:
    """Fill `held`; the last context is the one that is measured, with the others in memory."""
    for _ in range(sample.contexts_held - 1):
        held.append(backend.prepare(sample.context))
    state, taken = meter.measure(lambda: backend.prepare(sample.context))
    held.append(state)
    return {
        "baseline_bytes": taken.baseline_bytes,
        "held_bytes": sum(state.held_bytes for state in held),
        **_costs("prepare", taken),
    }


def _ask_all(
    bench: _Bench, job: Job, sample: Sample, state: PreparedContext
) -> list[dict[str, Cell]]:
    # A suite that shows costs asks one question at a time: a batch would hide its time.
    size = bench.batch_size if job.suite.metrics else 1
    rows: list[dict[str, Cell]] = []
    for start in range(0, len(sample.questions), size):
        batch = sample.questions[start : start + size]
        generations, costs = _ask(bench.meter, state, sample, batch)
        costs |= {"batch_id": f"{sample.id}#{start // size}", "batch_size": len(batch)}
        for question, generation in zip(batch, generations, strict=True):
            rows.append(_answered(job, sample, question, generation) | costs)
    return rows


def _ask(
    meter: Meter, state: PreparedContext, sample: Sample, batch: Sequence[Question]
) -> tuple[list[Generation], dict[str, Cell]]:
    texts = [question.text for question in batch]
    generations, taken = meter.measure(
        lambda: state.generate(
            texts, max_new_tokens=sample.max_new_tokens, min_new_tokens=sample.min_new_tokens
        )
    )
    return generations, _costs("generate", taken)


def _answered(
    job: Job, sample: Sample, question: Question, generation: Generation
) -> dict[str, Cell]:
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


def _asked(sample: Sample, question: Question) -> dict[str, Cell]:
    """Return what is known of a question before it is answered."""
    slices = {**sample.slices, **question.slices}
    return {"question_id": question.id, **slices, "targets": question.targets}


def _costs(phase: str, taken: Measurement) -> dict[str, Cell]:
    return {
        f"{phase}_s": taken.seconds,
        f"{phase}_peak_bytes": taken.peak_bytes,
        f"{phase}_reserved_bytes": taken.reserved_bytes,
    }
