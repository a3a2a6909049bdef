"""Choosing what to run: specs become suites with samples, and backends that can be built.

Suites and backends are read and checked before the model is loaded, so that a typing mistake costs
no time. Then the samples are drawn, and every backend is built once and closed again: its
description (adapter, embedder) is part of the run's identity. It is built again when it runs,
because two open backends would disturb each other.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, is_dataclass, replace
from inspect import signature
from itertools import product
from typing import Any

from harness.api import BUDGET, Model, Question, Suite
from harness.errors import NotReady, TokenizerUnknown, UserError, did_you_mean, reading
from harness.run import plugins
from harness.run.controls import CONTROLS, split_control, wrap
from harness.run.metadata import Budget
from harness.run.plan import Configuration, Job, Plan, Settings
from harness.run.records import FIXED
from harness.run.samples import draw
from harness.run.spec import Spec, build, check, present, settings_of
from harness.text import ENGLISH, is_english, script_of

log = logging.getLogger(__name__)

COMPARED = "gist"
"""The backend whose figures need controls beside them."""

DEFAULT_CONTROLS = ("full,adapter=on", "closed_book,adapter=on")
"""Controls of a run without --backend: what the adapter does without gists, so that compression is
not credited with fine-tuning."""

GIST_CONTROLS = (
    "truncate",
    "mean_pool",
    f"{COMPARED},untrained=true",
    f"{COMPARED},embeddings=random",
    f"shuffled({COMPARED})",
)
"""What `--controls` adds to each gist configuration, with the options that both have: as many KV
entries without learning, gists without training, gists of another document."""

COMMON_CONTROLS = ("full", "closed_book", "oracle(full)")
"""What `--controls` adds once: the whole context, none of it, and its supporting sentences."""

_LeftOut = defaultdict[str, list[str]]  # why, and what


@dataclass(frozen=True, slots=True)
class Choice:
    """A suite or backend that is to run."""

    spec: Spec
    kind: type[Any]
    named: bool  # by the user: it is an error if it cannot run; a default is left out
    control: str = ""  # of harness.run.controls
    scored_only: bool = False  # runs in suites with metrics only

    @property
    def name(self) -> str:
        """Its name in the rows."""
        return wrap(self.control, str(self.spec))


def choose_suites(texts: Sequence[str]) -> list[tuple[Choice, Suite]]:
    """Read suite specs, all installed ones if there are none, and build the suites."""
    chosen = _choose(plugins.SUITES, texts or plugins.names(plugins.SUITES), named=bool(texts))
    suites: list[tuple[Choice, Suite]] = [(c, build(c.kind, c.spec)) for c in chosen]
    for choice, suite in suites:
        _check_metrics(choice, suite)
        taken = sorted(FIXED & {*suite.slice_names, *suite.metrics})
        if taken:
            raise UserError(f"{choice.spec}: {taken[0]!r} is a column of every run. Rename it.")
    return suites


def _check_metrics(choice: Choice, suite: Suite) -> None:
    """Refuse a suite that scores by other names than it declares, before anything is loaded.

    It is asked to score a made-up answer. One that cannot, since it knows its own questions only,
    shows the same with its first row.
    """
    for name in ("metrics", "slice_names"):
        given: Any = getattr(suite, name, None)
        if given is None:
            raise UserError(
                f"{choice.spec}: class {choice.kind.__name__} has no {name!r}. Give a tuple of "
                "names, () for none; see docs/extending.md."
            )
        if not (isinstance(given, tuple) and all(isinstance(each, str) for each in given)):
            raise UserError(f"{choice.spec}: {name}={given!r} must be a tuple of names.")
    if not suite.metrics:
        return
    for targets in (("a",), ()):
        question = Question("check", "?", targets)
        try:
            signature(suite.score).bind(question, "a", "a")
            with reading("a made-up answer", fault="cannot be scored"):
                scores = suite.score(question, "a", "a")
        except TypeError as error:
            raise UserError(
                f"{choice.spec}: score(question, answer, context) cannot be called: {error}."
            ) from error
        except UserError:
            continue
        if not isinstance(scores, Mapping):
            raise UserError(f"{choice.spec}: score returns {scores!r}. It must return a mapping.")
        for name in scores:
            if name not in suite.metrics:
                raise UserError(
                    f"{choice.spec}: score returns the metric {name!r}, which is not among its "
                    f"metrics. {did_you_mean(str(name), suite.metrics)}"
                    f"Declared: {', '.join(suite.metrics)}."
                )


def choose_backends(
    texts: Sequence[str],
    *,
    controls: bool = False,
    budgets: Sequence[int] = (),
    group: str = plugins.BACKENDS,
) -> list[Choice]:
    """Read backend specs, `control(spec)` among them.

    Args:
        texts: specs; if there are none, all installed backends and the default controls.
        controls: add the controls that a gist configuration has to beat.
        budgets: numbers of KV entries; a backend that has such an option runs at each.
        group: `plugins.SERVED` for a model behind a server.

    Raises:
        UserError: a spec that nothing can be built from.
    """
    names = [
        name for name in plugins.names(group) if _runs_unasked(plugins.load(group, name), budgets)
    ]
    chosen = _choose(group, texts or names, named=bool(texts))
    chosen = [each for choice in chosen for each in _at_budgets(choice, budgets)]
    if controls:
        chosen += [_as_control(text, group) for text in COMMON_CONTROLS]
    of_gist = (
        *(DEFAULT_CONTROLS if controls or not texts else ()),
        *(GIST_CONTROLS if controls else ()),
    )
    compared = [each for each in chosen if each.spec.name == COMPARED and not each.control]
    chosen += [_beside(gist, _as_control(text)) for text in of_gist for gist in compared]
    once: dict[str, Choice] = {}
    for choice in chosen:
        check(choice.kind, choice.spec, given=1)
        once.setdefault(choice.name, choice)
    return list(once.values())


def _runs_unasked(kind: type, budgets: Sequence[int]) -> bool:
    """Return whether a backend runs where none is named; at a budget, all that have one do."""
    at_budget = bool(budgets) and budget_option(kind) is not None
    return at_budget or bool(getattr(kind, "runs_unasked", True))


def _as_control(text: str, group: str = plugins.BACKENDS) -> Choice:
    (choice,) = _choose(group, [text], named=False)
    return replace(choice, scored_only=True)


def _beside(gist: Choice, control: Choice) -> Choice:
    """Return the control with the options of a gist configuration that it has too."""
    known = {field.name for field in fields(control.kind)}
    shared = {name: value for name, value in gist.spec.options.items() if name in known}
    return replace(control, spec=Spec(control.spec.name, {**shared, **control.spec.options}))


def _at_budgets(choice: Choice, budgets: Sequence[int]) -> Iterator[Choice]:
    """Yield the choice at each budget, as it is if it takes none."""
    option = budget_option(choice.kind)
    if option is None or not budgets:
        yield choice
        return
    if option in choice.spec.options:
        raise UserError(f"{choice.name} has a budget of its own. Leave out {option} or --budget.")
    for tokens in budgets:
        spec = Spec(choice.spec.name, {**choice.spec.options, option: str(tokens)})
        yield replace(choice, spec=spec)


def budget_option(kind: type) -> str | None:
    """Return the option that says how many KV entries a backend keeps for a context."""
    options = fields(kind) if is_dataclass(kind) else ()
    return next((f.name for f in options if BUDGET.items() <= f.metadata.items()), None)


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


def _choose(group: str, texts: Sequence[str], *, named: bool) -> list[Choice]:
    return list({(c := _read(group, text, named=named)).name: c for text in texts}.values())


def _read(group: str, text: str, *, named: bool) -> Choice:
    control, inner = split_control(text) if group != plugins.SUITES else ("", text)
    if control not in CONTROLS:
        allowed = ", ".join(f"{name}(...)" for name in CONTROLS if name)
        raise UserError(f"unknown control {control!r} in {text!r}. Allowed: {allowed}.")
    spec = Spec.parse(inner)
    if group == plugins.SERVED and spec.name in _need_entries():
        raise UserError(
            f"{spec.name} needs the KV entries of a model that is loaded here, and a server keeps "
            f"them to itself. Backends of a served model: {', '.join(plugins.names(group))}."
        )
    kind = plugins.load(group, spec.name)
    return Choice(present(kind, spec), kind, named, control, scored_only=bool(control))


def _need_entries() -> set[str]:
    return {*plugins.names(plugins.BACKENDS)} - {*plugins.names(plugins.SERVED)}


def _draw(
    model: Model, choice: Choice, suite: Suite, settings: Settings, left_out: _LeftOut
) -> Job | None:
    """Return a suite with its samples; one that nobody named is left out where it cannot run."""
    if not _runs_with(model, choice, suite, left_out):
        return None
    try:
        samples = draw(choice.spec, suite, model=model, settings=settings)
    except TokenizerUnknown as unknown:
        if choice.named:
            raise
        left_out[str(unknown)].append(str(choice.spec))
        return None
    return Job(str(choice.spec), suite, samples)


def _runs_with(model: Model, choice: Choice, suite: Suite, left_out: _LeftOut) -> bool:
    if not (model.random_weights and suite.metrics):
        return True
    why = f"{model.name} has random weights, and its answers cannot be scored."
    if choice.named:
        raise UserError(f"no {choice.spec}: {why} Choose suites that show costs, or another model.")
    left_out[why].append(str(choice.spec))
    return False


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
