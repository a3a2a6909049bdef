"""Choosing what to run: specs become suites with samples, and backends that can be built.

Suites and backends are read and checked before the model is loaded, so that a typing mistake costs
no time. Then the samples are drawn and every backend is built once and closed again: what it says
of itself (adapter, embedder) is part of what names the run.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from harness import plugins
from harness.api import Backend, Model, Sample, Suite
from harness.errors import NotReady, UserError
from harness.plan import Arm, Job, Plan, Settings
from harness.records import FIXED
from harness.spec import Spec, build, check, settings_of

log = logging.getLogger(__name__)

CONTROLS = ("full,adapter=on", "closed_book,adapter=on")
"""Beside the installed backends: what the adapter alone does, so that compression is not credited
with fine-tuning. They cost what the arms without it cost, and run in quality suites only."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A suite or backend to be run, as it was asked for."""

    spec: Spec
    kind: type
    named: bool  # by the user; a default that cannot run is left out with a notice
    control: bool = False  # runs in suites with metrics only


def choose_suites(texts: Sequence[str]) -> list[tuple[Choice, Suite]]:
    """Read suite specs, all installed ones if there are none, and build the suites."""
    chosen = _choose(plugins.SUITES, texts or plugins.names(plugins.SUITES), named=bool(texts))
    suites: list[tuple[Choice, Suite]] = [(c, build(c.kind, c.spec)) for c in chosen]
    for choice, suite in suites:
        taken = sorted(FIXED & {*suite.slice_names, *suite.metrics})
        if taken:
            raise UserError(f"{choice.spec}: {taken[0]!r} is a column of every run. Rename it.")
    return suites


def choose_backends(texts: Sequence[str]) -> list[Choice]:
    """Read backend specs, all installed ones and the controls if there are none."""
    if texts:
        chosen = _choose(plugins.BACKENDS, texts, named=True)
    else:
        chosen = _choose(plugins.BACKENDS, plugins.names(plugins.BACKENDS), named=False)
        chosen += _choose(plugins.BACKENDS, CONTROLS, named=False, control=True)
    for choice in chosen:
        check(choice.kind, choice.spec, given=1)
    return chosen


def make_plan(
    model: Model,
    suites: Sequence[tuple[Choice, Suite]],
    backends: Sequence[Choice],
    settings: Settings,
) -> Plan:
    """Draw the samples and try every backend.

    Raises:
        UserError: a suite or backend that the user named cannot run, or nothing is left to run.
    """
    left_out: dict[str, list[str]] = {}  # why, and what
    jobs = tuple(
        Job(str(choice.spec), suite, _draw(choice.spec, suite, model=model, settings=settings))
        for choice, suite in suites
        if _runs_with(model, choice, suite, left_out)
    )
    scored = any(job.suite.metrics for job in jobs)
    costed = any(not job.suite.metrics for job in jobs)
    tried = (_try(c, model, scored=scored, costed=costed, left_out=left_out) for c in backends)
    arms = tuple(arm for arm in tried if arm)
    notices = [f"without {', '.join(names)}: {why}" for why, names in left_out.items()]
    notices += [f"{arm.name}: {arm.notice}" for arm in arms if arm.notice]
    for notice in notices:
        log.warning(notice)
    plan = Plan(jobs, arms, settings, tuple(notices))
    if not any(plan.cells()):
        raise UserError("nothing is left to run. Choose other suites or backends.")
    return plan


def _choose(
    group: str, texts: Sequence[str], *, named: bool, control: bool = False
) -> list[Choice]:
    specs = [Spec.parse(text) for text in texts]
    once = {str(spec): spec for spec in specs}.values()
    return [Choice(spec, plugins.load(group, spec.name), named, control) for spec in once]


def _runs_with(model: Model, choice: Choice, suite: Suite, left_out: dict[str, list[str]]) -> bool:
    if not (model.random_weights and suite.metrics):
        return True
    why = f"{model.name} has random weights, and they have no answers to score."
    if choice.named:
        raise UserError(f"no {choice.spec}: {why} Choose suites that show costs, or another model.")
    left_out.setdefault(why, []).append(str(choice.spec))
    return False


def _draw(spec: Spec, suite: Suite, *, model: Model, settings: Settings) -> tuple[Sample, ...]:
    samples = tuple(islice(suite.samples(model.tokenizer, settings.seed), settings.limit))
    if not samples:
        raise UserError(f"{spec} has no samples. Check its options.")
    _refuse_repeats(f"sample ids of {spec}", [sample.id for sample in samples])
    for sample in samples:
        if not sample.questions:
            raise UserError(f"sample {sample.id!r} of {spec} has no questions. Add one.")
        ids = [question.id for question in sample.questions]
        _refuse_repeats(f"question ids of sample {sample.id!r} of {spec}", ids)
    return samples


def _refuse_repeats(what: str, ids: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise UserError(f"{what} must differ, and {repeated[0]!r} occurs twice. Rename one.")


def _try(
    choice: Choice, model: Model, *, scored: bool, costed: bool, left_out: dict[str, list[str]]
) -> Arm | None:
    """Build a backend once; one that lacks what answers need may still show its costs."""
    spec, kind = choice.spec, choice.kind
    try:
        return _arm(spec, kind, model, scored=True, costed=not choice.control)
    except NotReady as lacking:
        if choice.named and (scored or not lacking.cost_options):
            raise
        why, cost_options = str(lacking), lacking.cost_options
    if scored:
        left_out.setdefault(why, []).append(str(spec))
    if choice.control or not (costed and cost_options):
        return None
    instead = Spec(spec.name, {**spec.options, **cost_options})
    notice = f"in place of {spec}, for its costs alone: {why}"
    return _arm(instead, kind, model, scored=False, costed=True, notice=notice)


def _arm(
    spec: Spec, kind: type, model: Model, *, scored: bool, costed: bool, notice: str = ""
) -> Arm:
    backend: Backend = build(kind, spec, model)
    try:
        settings, description = settings_of(backend, given=1), dict(backend.describe())
    finally:
        backend.close()
    own = str(description.pop("notice", ""))
    notice = "; ".join(filter(None, (notice, own)))
    return Arm(str(spec), spec, kind, settings, description, notice, scored, costed)
