"""From what was chosen to a plan: samples are drawn, and every backend is built once.

The description of a backend (adapter, embedder) is part of the run's identity. It is closed at once
and built again when it runs, because two open backends would disturb each other.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice, product

from harness.api import Model, Sample, Suite
from harness.errors import NotReady, TokenizerUnknown, UserError
from harness.run.choose import Choice, budget_option
from harness.run.metadata import Budget
from harness.run.plan import Configuration, Job, Plan, Settings
from harness.run.spec import Spec, build, settings_of
from harness.text import ENGLISH, is_english, script_of

log = logging.getLogger(__name__)

_Drawn = frozenset[tuple[str, str]]  # id and context of each sample
_LeftOut = defaultdict[str, list[str]]  # why, and what


def plans_of(
    model: Model,
    suites: Sequence[tuple[Choice, Suite]],
    backends: Sequence[Choice],
    settings: Sequence[Settings],
) -> Iterator[Plan]:
    """Yield a plan for each of some settings that differ in their seed.

    A suite whose samples are those of an earlier seed is left out: contexts of a file do not depend
    on the seed, and asked again they would only seem to be more of them.

    Raises:
        UserError: as `make_plan`.
    """
    earlier: dict[tuple[str, _Drawn], int] = {}  # the seed that drew them first
    for one in settings:
        plan = make_plan(model, suites, backends, one)
        first = [earlier.setdefault((job.name, _drawn(job)), one.seed) for job in plan.jobs]
        for job, seed in zip(plan.jobs, first, strict=True):
            if seed != one.seed:
                log.warning(f"{job.name}: seed {one.seed} draws the samples of seed {seed}.")
        own = tuple(job for job, seed in zip(plan.jobs, first, strict=True) if seed == one.seed)
        if own:
            yield replace(plan, jobs=own)


def _drawn(job: Job) -> _Drawn:
    return frozenset((sample.id, sample.context) for sample in job.samples)


def make_plan(
    model: Model,
    suites: Sequence[tuple[Choice, Suite]],
    backends: Sequence[Choice],
    settings: Settings,
) -> Plan:
    """Draw the samples and build every backend once.

    Raises:
        UserError: a suite or backend that the user named cannot run, or nothing is left to run.
    """
    left_out: _LeftOut = defaultdict(list)
    drawn = (_draw(model, choice, suite, settings, left_out) for choice, suite in suites)
    jobs = tuple(job for job in drawn if job)
    described = (_describe(choice, model, jobs, left_out) for choice in backends)
    configurations = tuple(configuration for configuration in described if configuration)
    notices = [f"without {', '.join(names)}: {why}" for why, names in left_out.items()]
    notices += [
        f"{configuration.name}: {configuration.notice}"
        for configuration in configurations
        if configuration.notice
    ]
    for job in jobs:
        of_samples = dict.fromkeys(sample.notice for sample in job.samples if sample.notice)
        notices += [f"{job.name}: {notice}." for notice in of_samples]
    plan = Plan(jobs, configurations, settings, ())
    for job, configuration in product(jobs, configurations):
        controlled = plan.controlled(job, configuration)
        if controlled.left_out:
            part = "in part" if controlled.samples else "left out"
            notices.append(f"{configuration.name} in {job.name} {part}: {controlled.left_out}.")
    notices += _of_other_languages(jobs, configurations)
    for notice in notices:
        log.warning(notice)
    if not any(plan.cells()):
        raise UserError("nothing is left to run. Choose other suites or backends.")
    return replace(plan, notices=tuple(notices))


def _of_other_languages(
    jobs: Sequence[Job], configurations: Sequence[Configuration]
) -> Iterator[str]:
    """Yield a line for each suite whose contexts a backend's embedder was not trained to read."""
    readers = [each for each in configurations if each.description.get("languages") == ENGLISH]
    for job in jobs if readers else ():
        other = sum(not is_english(sample.context) for sample in job.samples)
        if job.suite.metrics and 2 * other > len(job.samples):
            script = script_of("".join(sample.context[:1000] for sample in job.samples[:50]))
            names = ", ".join(each.name for each in readers)
            yield (
                f"{names} in {job.name}: the embedder was trained on {ENGLISH}, and the contexts "
                f"are not (letters: {script}). Take embedder=bm25 or one of their language."
            )


def _draw(
    model: Model, choice: Choice, suite: Suite, settings: Settings, left_out: _LeftOut
) -> Job | None:
    """Return a suite with its samples; one that nobody named is left out where it cannot run."""
    if model.random_weights and suite.metrics:
        why = f"{model.name} has random weights, and its answers cannot be scored."
        if choice.named:
            raise UserError(
                f"no {choice.spec}: {why} Choose suites that show costs, or another model."
            )
    else:
        try:
            return Job(str(choice.spec), suite, _samples(choice.spec, suite, model, settings))
        except TokenizerUnknown as unknown:
            if choice.named:
                raise
            why = str(unknown)
    left_out[why].append(str(choice.spec))
    return None


def _samples(spec: Spec, suite: Suite, model: Model, settings: Settings) -> tuple[Sample, ...]:
    """Return the first samples of a suite.

    Raises:
        UserError: there are none, or two have the same id, or one has no questions.
    """
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


def _describe(
    choice: Choice, model: Model, jobs: Sequence[Job], left_out: _LeftOut
) -> Configuration | None:
    """Build a backend once; one that lacks what answers need may still show its costs."""
    try:
        return _configuration(choice, model)
    except NotReady as not_ready:
        reason, cost_options = str(not_ready), not_ready.cost_options
        if choice.named and (any(job.suite.metrics for job in jobs) or not cost_options):
            raise
    if any(job.suite.metrics for job in jobs):
        left_out[reason].append(choice.name)
    if choice.scored_only or not cost_options or all(job.suite.metrics for job in jobs):
        return None
    instead = replace(choice, spec=Spec(choice.spec.name, {**choice.spec.options, **cost_options}))
    found = _configuration(instead, model)
    notice = f"in place of {choice.spec}, for its costs alone: {reason}"
    return replace(found, scored=False, notice="; ".join(filter(None, (notice, found.notice))))


def _configuration(choice: Choice, model: Model) -> Configuration:
    with closing(build(choice.kind, choice.spec, model)) as backend:
        settings, description = settings_of(backend, given=1), dict(backend.describe())
    return Configuration(
        name=choice.name,
        spec=choice.spec,
        kind=choice.kind,
        settings=settings,
        notice=str(description.pop("notice", "")),
        description=description,
        scored=True,
        costed=not choice.scored_only,
        control=choice.control,
        budget=_budget(choice, settings),
    )


def _budget(choice: Choice, settings: Mapping[str, str]) -> Budget | None:
    option = budget_option(choice.kind)
    if option is None or not settings[option].isdecimal():
        return None
    others = {name: text for name, text in choice.spec.options.items() if name != option}
    family = replace(choice, spec=Spec(choice.spec.name, others)).name
    return Budget(int(settings[option]), family)
