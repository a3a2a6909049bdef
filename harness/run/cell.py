"""One suite with one open backend, sample after sample, one row per question.

Here is what is the same for every backend: the clock and the memory peak, how many questions are
asked at once, how many contexts are held, how a failure becomes a row. Backends measure nothing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.api import Backend, Generation, Model, PreparedContext, Question, Sample, Suite
from harness.errors import ContextTooLong, OutOfMemory, SampleError
from harness.run.controls import ContextAssignment, ControlledSample
from harness.run.handed import prepare
from harness.run.measure import Measurement, Meter, clock_s, memory_errors
from harness.run.plan import Cell, Job
from harness.run.records import Cell as Value
from harness.run.records import Row, evidence_recall
from harness.run.thoughts import split_thought

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finished:
    """A sample that is done: what is written of it."""

    cell: Cell
    controlled: ControlledSample
    rows: Sequence[Row]  # none, where a sweep had ended before it
    seconds: float


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cells of a run share."""

    model: Model
    meter: Meter
    batch_size: int
    count_tokens: Callable[[str], int | None]
    replayed: Callable[[], int] = lambda: 0  # replies so far that an earlier process had paid for


@dataclass(frozen=True, slots=True)
class CellRun:
    """One suite with one open backend."""

    bench: Bench
    cell: Cell
    backend: Backend

    def finish(self, stopped: Collection[int] = ()) -> Iterator[Finished]:
        """Do sample after sample; a cost sweep stops at the first that does not fit."""
        stopped = set(stopped)
        for controlled in self.cell.samples:
            sample, start = controlled.sample, clock_s()
            rows: list[Row] = []
            if sample.contexts_held not in stopped:
                rows = [row for each in controlled.assignments for row in self._rows(sample, each)]
                if ends_sweep(self.cell.job, rows[0].get("error")):
                    stopped.add(sample.contexts_held)
            yield Finished(self.cell, controlled, rows, clock_s() - start)

    def _rows(self, sample: Sample, assignment: ContextAssignment) -> list[Row]:
        """Return the rows of an assignment: a failure keeps the measurements before it."""
        configuration = self.cell.configuration
        shared: dict[str, Value] = {
            "suite": self.cell.job.name,
            "backend": configuration.name,
            "model": self.bench.model.name,
            "sample_id": sample.id,
            "context_tokens": self.bench.count_tokens(sample.context),
            "max_new_tokens": sample.max_new_tokens,
            "contexts_held": sample.contexts_held,
            "memory_kind": self.bench.meter.memory_kind,
            "notice": configuration.notice,
        }
        held: list[PreparedContext] = []
        try:
            with memory_errors():
                shared |= self._prepare(sample, assignment.context, held)
                answers = self._ask_all(sample, assignment, held[-1])
        except SampleError as failed:
            shared |= self._error_cells(failed)
            answers = [_question_cells(sample, question) for question in assignment.questions]
        finally:
            for state in held:
                state.close()
        return [shared | answer for answer in answers]

    def _prepare(
        self, sample: Sample, context: str, held: list[PreparedContext]
    ) -> dict[str, Value]:
        """Fill `held`; the last context is measured while the others stay in memory."""
        for _ in range(sample.contexts_held - 1):
            held.append(prepare(self.backend, context))
        state, measured, costs = self._measure("prepare", lambda: prepare(self.backend, context))
        held.append(state)
        return {
            "baseline_bytes": measured.baseline_bytes,
            "held_bytes": _total(state.held_bytes for state in held),
            **costs,
        }

    def _measure(
        self, phase: str, work: Callable[[], T]
    ) -> tuple[T, Measurement, dict[str, Value]]:
        """Do the work of a phase; its costs are not known where replies are of an earlier time."""
        before = self.bench.replayed()
        result, measured = self.bench.meter.measure(work)
        costs = _cost_cells(phase, measured)
        known = self.bench.replayed() == before
        return result, measured, costs if known else dict.fromkeys(costs)

    def _ask_all(
        self, sample: Sample, assignment: ContextAssignment, state: PreparedContext
    ) -> list[dict[str, Value]]:
        # A suite that shows costs asks one question at a time: a batch would hide its time.
        size = self.bench.batch_size if self.cell.job.suite.metrics else 1
        rows: list[dict[str, Value]] = []
        for start in range(0, len(assignment.questions), size):
            batch = assignment.questions[start : start + size]
            batch_id = f"{sample.id}#{assignment.label}{start // size}"
            rows += self._ask(sample, state, batch, batch_id)
        return rows

    def _ask(
        self, sample: Sample, state: PreparedContext, batch: Sequence[Question], batch_id: str
    ) -> list[dict[str, Value]]:
        """Return the answers of a batch; a question that is too long fails alone."""
        texts = [question.text for question in batch]
        try:
            generations, _, costs = self._measure(
                "generate",
                lambda: state.generate(
                    texts,
                    max_new_tokens=sample.max_new_tokens,
                    min_new_tokens=sample.min_new_tokens,
                ),
            )
        except ContextTooLong as failed:
            if len(batch) == 1:
                return [_question_cells(sample, batch[0]) | self._error_cells(failed)]
            return [
                row
                for number, question in enumerate(batch)
                for row in self._ask(sample, state, [question], f"{batch_id}.{number}")
            ]
        costs |= {"batch_id": batch_id, "batch_size": len(batch)}
        suite = self.cell.job.suite
        return [
            _answer_cells(suite, sample, question, generation) | costs
            for question, generation in zip(batch, generations, strict=True)
        ]

    def _error_cells(self, failed: SampleError) -> dict[str, Value]:
        notice = "; ".join(filter(None, (self.cell.configuration.notice, str(failed))))
        return {"error": failed.code, "notice": notice}


def ends_sweep(job: Job, error: Value) -> bool:
    """Return whether a cost sweep ends here: larger samples will not fit either."""
    return not job.suite.metrics and error == OutOfMemory.code


def _answer_cells(
    suite: Suite, sample: Sample, question: Question, generation: Generation
) -> dict[str, Value]:
    thought, answer = split_thought(generation.text)
    metrics = suite.score(question, answer, sample.context) if suite.metrics else {}
    return {
        **_question_cells(sample, question),
        "context_entries": generation.context_entries,
        "prompt_tokens": generation.prompt_tokens,
        "new_tokens": generation.new_tokens,
        "first_token_s": generation.first_token_s,
        "cut": float(generation.cut) if suite.metrics else None,
        "answer_words": len(answer.split()) if suite.metrics else None,
        "thought_words": len(thought.split()) or None,
        **{name: float(value) for name, value in metrics.items()},
        "evidence_recall": evidence_recall(question, generation.evidence),
        "answer": generation.text,
        "evidence": generation.evidence or None,
    }


def _total(parts: Iterable[int | None]) -> int | None:
    """Return the sum; None if a part is not known."""
    known = list(parts)
    return None if None in known else sum(filter(None, known))


def _question_cells(sample: Sample, question: Question) -> dict[str, Value]:
    """Return what is known of a question before it is answered."""
    slices = {**sample.slices, **question.slices}
    return {
        "question_id": question.id,
        **slices,
        "question": question.text,
        "targets": question.targets,
    }


def _cost_cells(phase: str, measured: Measurement) -> dict[str, Value]:
    return {
        f"{phase}_s": measured.seconds,
        f"{phase}_waited_s": measured.waited_s,
        f"{phase}_peak_bytes": measured.peak_bytes,
        f"{phase}_reserved_bytes": measured.reserved_bytes,
    }
