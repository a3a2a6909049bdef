"""The validity checks of the backend that answers, whatever backend it is.

Samples of the run go through the runner: the shortest, the longest that fits, and a median one if
it is of another size. What the backend reports is compared with what was seen from outside. The
longest is run again with other questions, other targets and support, in another order, and after
everything that was read and is not kept has been overwritten, all at once: no answer may change.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import torch

from gist.models.model import LanguageModel
from gist.validity import LIMITS
from gist.watch import probe, weights_hash
from harness.api import Backend, Question, Sample
from harness.checks import judging
from harness.checks.handed import handed
from harness.checks.shuffled import Check
from harness.checks.trial import Table, Trial, altered, by_size, shortened, warmed
from harness.checks.watched import known_of
from harness.errors import UserError
from harness.run.measure import Meter
from harness.run.plan import Cell, Configuration, Job
from harness.run.spec import build
from harness.text import split_sentences

TRIES = 4  # of a smaller sample, where the longest does not fit
ALIKE = 0.8  # a sample at least so long, as a share of another, is of the same size


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The model as it was before any backend was opened."""

    logits: torch.Tensor  # after a fixed sequence, (vocabulary,)
    weights: str  # a hash
    rounding: float  # of the model's dtype, as a share of the largest logit

    @classmethod
    def of(cls, lm: LanguageModel) -> "BaseModel":
        """Return the model as it is now."""
        rounding = LIMITS.get(lm.model.dtype, LIMITS[torch.bfloat16])
        return cls(probe(lm), weights_hash(lm.model), rounding)

    def differs(self, other: "BaseModel") -> bool:
        """Return whether the weights, or what they compute, are no longer the same."""
        return self.weights != other.weights or self.moved(other) > self.limit

    def moved(self, other: "BaseModel") -> float:
        """Return the largest difference between the logits."""
        return float((self.logits - other.logits).abs().max())

    @property
    def limit(self) -> float:
        """The largest difference that rounding explains."""
        return self.rounding * float(self.logits.abs().max())


def check_backend(
    lm: LanguageModel,
    configuration: Configuration,
    cells: Sequence[Cell],
    *,
    base: BaseModel,
    batch_size: int,
) -> list[Check]:
    """Return the checks of a configuration.

    Args:
        lm: the model, with no backend open.
        configuration: the backend and its options.
        cells: what it runs on.
        base: the model before the first backend.
        batch_size: questions that the run asks at once.

    Raises:
        UserError: no sample fits, so that nothing can be checked.
        SampleError: not even a sentence fits.
    """
    meter = Meter(lm.device)
    before = BaseModel.of(lm)
    declared = any(configuration.description.get(key) for key in ("adapter", "weights"))
    backend: Backend = build(configuration.kind, configuration.spec, lm)
    with closing(backend), warmed(meter, backend):
        should_be = None if declared else base.logits
        table = Table(
            lm, backend, configuration, meter, batch_size, known_of(backend, lm), should_be
        )
        trials = _trials(table, by_size(cells))
        longest = trials[-1]
        repeated = [_all_changed(table, longest)] if longest.job.suite.metrics else []
        # What is reported of a second time is looked at as well: answers could be remembered.
        checks = list(_reported(lm, [*trials, *repeated]))
        for trial in repeated:
            checks += _again(table, longest, trial)
    after = BaseModel.of(lm)
    during = [each for trial in (*trials, *repeated) for each in trial.seen.differences]
    checks.append(_base_model(base, before, after, during, declared=declared))
    return checks


def _trials(table: Table, pairs: Sequence[tuple[Job, Sample]]) -> list[Trial]:
    """Run the shortest sample, the median one if it is of another size, and the longest that fits.

    Each once, the longest first.
    """
    last = len(pairs) - 1
    found: dict[int, Trial] = {}
    for k in range(TRIES + 1):
        place = last * (TRIES - k) // TRIES
        if place in found:
            continue
        longest = _run(table, pairs, place)
        if not longest.failed:
            found[place] = longest
            for other in {0, *_median(pairs, place)} - {place}:
                trial = _run(table, pairs, other)
                if not trial.failed:
                    found[other] = trial
            break
    if not found:
        raise UserError("no sample of the run fits, so that there is no answer to look at")
    return [found[place] for place in sorted(found)]


def _median(pairs: Sequence[tuple[Job, Sample]], last: int) -> list[int]:
    """Return the place of the median sample; none if it is as long as the shortest or longest."""
    shortest, median, longest = (len(pairs[n][1].context) for n in (0, last // 2, last))
    return [last // 2] if shortest < ALIKE * median and median < ALIKE * longest else []


def _run(table: Table, pairs: Sequence[tuple[Job, Sample]], place: int) -> Trial:
    job, sample = pairs[place]
    others = [
        other
        for its_job, other in (*pairs[place + 1 :], *pairs[:place])
        if its_job is job and other.context != sample.context
    ]
    return table.run(job, shortened(sample, others))


def _reported(lm: LanguageModel, trials: Sequence[Trial]) -> Iterator[Check]:
    """Yield the checks of what was reported, each over all samples."""
    yield judging.given(trials)
    if any(trial.seen.handed is not None for trial in trials):
        yield handed(trials)
    # Who says how many entries stand for the context says what stands before them as well.
    claims = ("prompt_tokens", "context_entries")
    if any(row.get(each) is not None for t in trials for row in t.rows for each in claims):
        yield from judging.seen(lm, trials)
    yield judging.said(lm, trials)
    if any(row.get("evidence") for trial in trials for row in trial.rows):
        yield judging.shown(lm, trials)
    if all(trial.rows[0].get("held_bytes") is not None for trial in trials):
        yield judging.held(lm, trials)
    if any(trial.job.suite.metrics for trial in trials):
        yield judging.scored(trials)


def _all_changed(table: Table, first: Trial) -> Trial:
    """Run a sample again with all changed at once that must change no answer.

    It is read for other questions, with other targets and support, in the other order; what was
    read and is not kept is overwritten; and the first questions are asked.
    """
    other_gold = altered(first.sample, _other_gold(first))
    backwards = replace(other_gold, questions=other_gold.questions[::-1])
    return _for_others(table, replace(first, sample=backwards), poison=True)


def _for_others(table: Table, first: Trial, *, poison: bool) -> Trial:
    """Run a sample that is read for other questions, and ask its own."""
    asked = altered(first.sample, _other_question)
    pairs = zip(asked.questions, first.sample.questions, strict=True)
    instead = {new.text: old.text for new, old in pairs}
    trial = table.run(first.job, asked, poison=poison, instead=instead)
    return replace(trial, sample=first.sample)


def _again(table: Table, first: Trial, changed: Trial) -> Iterator[Check]:
    """Yield what may change no answer; each by itself, if all at once change one."""
    n = len(first.sample.questions)
    order = gold = blind = kept = n
    if judging.same_answers(first, changed) < n or not judging.same_state(first, changed):
        order, gold, blind, kept = _apart(table, first, changed)
    yield judging.unchanged("order of questions", judging.ORDER, order, n)
    yield judging.unchanged("gold answers hidden", judging.GOLD, gold, n)
    yield judging.unchanged("questions hidden", judging.BLIND, blind, n)
    if changed.seen.poisoned:
        yield judging.unchanged("nothing else is read", judging.POISON, kept, n)


def _apart(table: Table, first: Trial, changed: Trial) -> tuple[int, int, int, int]:
    """Return how many answers stay in another order, with other gold, unseen, and overwritten."""
    job, sample = first.job, first.sample
    n = len(sample.questions)
    backwards = replace(sample, questions=sample.questions[::-1])
    order = judging.same_answers(first, table.run(job, backwards))
    gold = judging.same_answers(first, table.run(job, altered(sample, _other_gold(first))))
    whole = _for_others(table, first, poison=False)
    blind = judging.same_answers(first, whole)
    blind = blind if judging.same_state(first, whole) else min(blind, n - 1)
    overwritten = _for_others(table, first, poison=True)
    kept = judging.same_answers(whole, overwritten)
    if order == gold == blind == kept == n:  # each alone changes nothing: a mixture does
        order = min(judging.same_answers(first, changed), n - 1)
    return order, gold, blind, kept


def _other_gold(first: Trial) -> Callable[[int, Question], Question]:
    """Return what gives a question other targets, and support that it was not shown."""
    context = first.sample.context
    sentences = [context[span.start : span.end] for span in split_sentences(context)]
    shown = " ".join(str(row.get("evidence") or "") for row in first.rows)

    def change(number: int, question: Question) -> Question:
        free = [s for s in sentences if s not in question.support and s not in shown]
        chosen = (free or sentences)[number % len(free or sentences)]
        return replace(question, targets=(f"altered answer {number}",), support=(chosen,))

    return change


def _other_question(number: int, question: Question) -> Question:
    words = question.text.rstrip("?").split()
    return replace(question, text=f"Number {number + 1}, backwards: {' '.join(words[::-1])}?")


def _base_model(
    base: BaseModel,
    before: BaseModel,
    after: BaseModel,
    during: Sequence[float],
    *,
    declared: bool,
) -> Check:
    moved = [base.moved(each) for each in (before, after)]
    same = before.weights == after.weights == base.weights
    inside = "with an adapter" if declared else f"{max(during, default=0.0):.2g} while it answers"
    return Check(
        "base model",
        f"logits differ by {moved[0]:.2g} before, {inside}, {moved[1]:.2g} after; "
        f"weights {'equal' if same else 'differ'}",
        f"at most {base.limit:.2g}; equal",
        same and max(*moved, *during) <= base.limit,
        "Logits of the model after a fixed sequence, compared with those before any backend was "
        "opened: before this one is opened, where it reads and answers unless it names an adapter, "
        "and after it is closed; and numbers of all weights.",
    )
