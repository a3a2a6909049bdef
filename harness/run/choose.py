"""Choosing what to run: specs become suites, and backends that can be built.

They are read and checked before the model is loaded, so that a typing mistake costs no time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from inspect import signature
from typing import Any

from harness.api import BUDGET, Question, Suite
from harness.errors import UserError, did_you_mean, reading
from harness.run import plugins
from harness.run.controls import CONTROLS, split_control, wrap
from harness.run.records import FIXED
from harness.run.spec import Spec, build, check

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
    return Choice(spec, kind, named, control, scored_only=bool(control))


def _need_entries() -> set[str]:
    return {*plugins.names(plugins.BACKENDS)} - {*plugins.names(plugins.SERVED)}
