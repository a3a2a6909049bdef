"""Choosing what to run: specs become suites with samples, and backends that can be built.

Suites and backends are read and checked before the model is loaded, so that a typing mistake costs
no time. Then the samples are drawn and every backend is built once and closed again: what it says
of itself (adapter, embedder) is part of what names the run.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import islice, product

from harness import plugins
from harness.api import BUDGET, Backend, Model, Sample, Suite
from harness.controls import CONTROLS, split_control, wrap
from harness.errors import NotReady, UserError
from harness.facts import Budget
from harness.plan import Arm, Job, Plan, Settings
from harness.records import FIXED
from harness.spec import Spec, build, check, settings_of

log = logging.getLogger(__name__)

COMPARED = "gist"
"""The backend whose figures need controls beside them."""

USUAL = ("full,adapter=on", "closed_book,adapter=on")
"""Controls of every run: what the adapter does without gists, so that compression is not credited
with fine-tuning."""

MORE = ("truncate", "mean_pool", f"{COMPARED},untrained=true", f"{COMPARED},embeddings=random",
        f"swapped({COMPARED})")  # fmt: skip
"""What `--controls` adds to each gist arm, with the options that both have: as many entries that
nobody has learnt, gists that nobody has trained, gists of another document."""

ANYWAY = ("full", "closed_book", "oracle(full)")
"""What `--controls` adds once: the whole context, none of it, and what proves the answer."""

SPARED = frozenset({"mean_pool"})
"""Installed backends that run when they are asked for, as a control or at a budget."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A suite or backend to be run, as it was asked for."""

    spec: Spec
    kind: type
    named: bool  # by the user; a default that cannot run is left out with a notice
    control: str = ""  # of harness.controls: what a backend reads
    scored_only: bool = False  # runs in suites with metrics only

    @property
    def name(self) -> str:
        """What it is called in the rows."""
        return wrap(self.control, str(self.spec))


def choose_suites(texts: Sequence[str]) -> list[tuple[Choice, Suite]]:
    """Read suite specs, all installed ones if there are none, and build the suites."""
    chosen = _choose(plugins.SUITES, texts or plugins.names(plugins.SUITES), named=bool(texts))
    suites: list[tuple[Choice, Suite]] = [(c, build(c.kind, c.spec)) for c in chosen]
    for choice, suite in suites:
        taken = sorted(FIXED & {*suite.slice_names, *suite.metrics})
        if taken:
            raise UserError(f"{choice.spec}: {taken[0]!r} is a column of every run. Rename it.")
    return suites


def choose_backends(
    texts: Sequence[str], *, controls: bool = False, budgets: Sequence[int] = ()
) -> list[Choice]:
    """Read backend specs, `control(spec)` among them.

    Args:
        texts: specs; if there are none, all installed backends and the usual controls.
        controls: add what a gist has to beat to whatever is chosen.
        budgets: KV entries for a context; a backend that has such an option runs at each.

    Raises:
        UserError: a spec that nothing can be built from.
    """
    names = [name for name in plugins.names(plugins.BACKENDS) if budgets or name not in SPARED]
    chosen = _choose(plugins.BACKENDS, texts or names, named=bool(texts))
    chosen = [each for choice in chosen for each in _at_budgets(choice, budgets)]
    if controls:
        chosen += [_as_control(text) for text in ANYWAY]
    of_gist = (*(USUAL if controls or not texts else ()), *(MORE if controls else ()))
    compared = [each for each in chosen if each.spec.name == COMPARED and not each.control]
    chosen += [_beside(gist, _as_control(text)) for text in of_gist for gist in compared]
    once: dict[str, Choice] = {}
    for choice in chosen:
        check(choice.kind, choice.spec, given=1)
        once.setdefault(choice.name, choice)
    return list(once.values())


def _as_control(text: str) -> Choice:
    (choice,) = _choose(plugins.BACKENDS, [text], named=False)
    return replace(choice, scored_only=True)


def _beside(gist: Choice, control: Choice) -> Choice:
    """Return the control with the options of a gist arm that it has too."""
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
    plan = Plan(jobs, arms, settings, ())
    for job, arm in product(jobs, arms):
        given = plan.given(job, arm)
        if given.left_out:
            part = "in part" if given.tasks else "left out"
            notices.append(f"{arm.name} in {job.name} {part}: {given.left_out}.")
    for notice in notices:
        log.warning(notice)
    if not any(plan.cells()):
        raise UserError("nothing is left to run. Choose other suites or backends.")
    return replace(plan, notices=tuple(notices))


def _choose(group: str, texts: Sequence[str], *, named: bool) -> list[Choice]:
    return list({(c := _read(group, text, named=named)).name: c for text in texts}.values())


def _read(group: str, text: str, *, named: bool) -> Choice:
    control, inner = split_control(text) if group == plugins.BACKENDS else ("", text)
    if control not in CONTROLS:
        allowed = ", ".join(f"{name}(...)" for name in CONTROLS if name)
        raise UserError(f"unknown control {control!r} in {text!r}. Allowed: {allowed}.")
    spec = Spec.parse(inner)
    return Choice(spec, plugins.load(group, spec.name), named, control, scored_only=bool(control))


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
    spec = choice.spec
    try:
        return _arm(choice, model, scored=True, costed=not choice.scored_only)
    except NotReady as lacking:
        if choice.named and (scored or not lacking.cost_options):
            raise
        why, cost_options = str(lacking), lacking.cost_options
    if scored:
        left_out.setdefault(why, []).append(choice.name)
    if choice.scored_only or not (costed and cost_options):
        return None
    instead = replace(choice, spec=Spec(spec.name, {**spec.options, **cost_options}))
    notice = f"in place of {spec}, for its costs alone: {why}"
    return _arm(instead, model, scored=False, costed=True, notice=notice)


def _arm(choice: Choice, model: Model, *, scored: bool, costed: bool, notice: str = "") -> Arm:
    backend: Backend = build(choice.kind, choice.spec, model)
    try:
        settings, description = settings_of(backend, given=1), dict(backend.describe())
    finally:
        backend.close()
    own = str(description.pop("notice", ""))
    return Arm(
        choice.name,
        choice.spec,
        choice.kind,
        settings,
        description,
        "; ".join(filter(None, (notice, own))),
        scored,
        costed,
        choice.control,
        _budget(choice, settings),
    )


def _budget(choice: Choice, settings: Mapping[str, str]) -> Budget | None:
    option = budget_option(choice.kind)
    if option is None or not settings[option].isdecimal():
        return None
    others = {name: text for name, text in choice.spec.options.items() if name != option}
    family = replace(choice, spec=Spec(choice.spec.name, others)).name
    return Budget(int(settings[option]), family)
