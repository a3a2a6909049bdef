"""One sample through the runner, with a watched backend: rows as a run would write them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch

from gist.models.model import LanguageModel
from harness.api import Backend, Question, Sample
from harness.checks.holdings import Holdings
from harness.checks.watched import Observed, Watched
from harness.run.cell import Bench, CellRun
from harness.run.controls import CONTROLS
from harness.run.engine import warm_up
from harness.run.measure import Meter
from harness.run.plan import Cell, Configuration, Job
from harness.run.records import Row

QUESTIONS = 3  # of a sample's own; one of another sample stands behind them
NEW_TOKENS = 6


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a sample: what the runner wrote, and what was seen."""

    job: Job
    sample: Sample
    rows: Sequence[Row]
    seen: Observed

    @property
    def failed(self) -> bool:
        """Whether there are no answers: the sample does not fit."""
        return any(row.get("error") for row in self.rows)


@dataclass(frozen=True, slots=True)
class Table:
    """An open backend, and all that samples are run with."""

    lm: LanguageModel
    backend: Backend
    configuration: Configuration
    meter: Meter
    batch_size: int
    known: Holdings  # what the backend had before it read anything
    base: torch.Tensor | None  # what the model's logits should be, see `Watched`

    def run(
        self,
        job: Job,
        sample: Sample,
        *,
        poison: bool = False,
        instead: Mapping[str, str] = MappingProxyType({}),
    ) -> Trial:
        """Run a sample as the runner does, and keep its rows."""
        watched = Watched(self.backend, self.lm, self.known, self.base, poison, instead)
        tokens = self.lm.tokenizer.encode
        bench = Bench(
            self.lm,
            self.meter,
            self.batch_size,
            lambda text: len(tokens(text)),
        )
        own = CONTROLS[""]([sample], 0).samples
        (done,) = CellRun(bench, Cell(job, self.configuration, own), watched).finish()
        seen = watched.observed[-1] if watched.observed else Observed("")
        return Trial(job, sample, done.rows, seen)


@contextmanager
def warmed(meter: Meter, backend: Backend) -> Iterator[None]:
    """Ask once, as the runner does: what is made then belongs to no context."""
    warm_up(backend)
    meter.clear()
    with meter.frozen_gc():
        yield


def shortened(sample: Sample, others: Sequence[Sample]) -> Sample:
    """Return a sample with few questions and short answers.

    The last question is one of another sample, so that there is something to be asked before.
    """
    own = sample.questions[:QUESTIONS]
    texts = {question.text for question in own}
    foreign = (q for other in others for q in other.questions if q.text not in texts)
    found = next(foreign, None)
    if found is not None:
        own = (*own, replace(found, id=f"{found.id} of another", support=()))
    return replace(
        sample,
        questions=own,
        max_new_tokens=min(NEW_TOKENS, sample.max_new_tokens),
        min_new_tokens=min(NEW_TOKENS, sample.min_new_tokens),
        contexts_held=1,
    )


def by_size(cells: Sequence[Cell]) -> list[tuple[Job, Sample]]:
    """Return the samples that a backend reads in a run, the shortest first."""
    scored = [cell for cell in cells if cell.job.suite.metrics] or cells
    pairs = [(cell.job, each.sample) for cell in scored for each in cell.samples]
    once = {sample.context: (job, sample) for job, sample in pairs if sample.context.strip()}
    return sorted(once.values(), key=lambda pair: len(pair[1].context))


def altered(sample: Sample, change: Callable[[int, Question], Question]) -> Sample:
    """Return a sample whose questions are changed, each by itself."""
    return replace(sample, questions=tuple(change(*each) for each in enumerate(sample.questions)))
