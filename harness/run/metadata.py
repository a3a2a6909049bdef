"""What a run's `run.json` says that its rows do not: settings, seed, machine, notices, checks.

This is the one reader of the file. People edit run.json by hand, and it may be missing: then
nothing is known.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import reading
from harness.run.controls import present_name

RECORDS = "records.csv"
RUN = "run.json"
RESTORE = "Restore or remove it."
NONE = "none"  # an option without a value


@dataclass(frozen=True, slots=True)
class Checked:
    """Validity checks of an adapter, or of a backend that answers, made when its rows were."""

    backends: tuple[str, ...]  # the configurations that they are about
    of_adapter: bool = False
    checks: tuple[tuple[str, str, str, bool], ...] = ()  # name, measured, limit, passed
    not_run: str = ""  # why there are none

    @property
    def failed(self) -> bool:
        """Whether one of them failed."""
        return not all(passed for *_, passed in self.checks)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many KV entries a configuration may keep for a context."""

    tokens: int
    family: str  # the configuration's name without the budget


@dataclass(frozen=True, slots=True)
class RunMetadata:
    """What is known of a run beside its rows."""

    name: str = ""  # of its folder
    everything: Mapping[str, Any] = field(default_factory=dict)  # as run.json has it
    model: str = ""  # its name
    answers_in_sentences: bool = False  # the model; False: no, or an old run that does not say
    reads_any_text: bool = False  # the model: the templates of our generator are new to it
    headline: str = ""  # what --headline named
    settings: str = ""  # device, dtype, quantisation: shown beside the model
    fingerprint: str = ""  # of the model
    seed: str = ""
    suites: Mapping[str, str] = field(default_factory=dict)  # spec -> options, data hashes included
    of_files: frozenset[str] = frozenset()  # suites whose contexts are the same under every seed
    metrics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of suites, in order
    machine: str = ""
    notes: tuple[str, ...] = ()
    is_finished: bool = True
    checked: tuple[Checked, ...] = ()
    budgets: Mapping[str, Budget] = field(default_factory=dict)  # of the configurations with one

    @property
    def invalid(self) -> frozenset[str]:
        """The configurations that failed a check, by themselves or by their adapter."""
        return frozenset(name for one in self.checked if one.failed for name in one.backends)

    def data_of(self, suite: str) -> str:
        """Return what decides a suite's samples: if equal in two runs, the samples are equal."""
        seed = "" if suite in self.of_files else self.seed
        return f"{seed} {self.suites.get(suite, '')}"


def read_run(folder: Path) -> dict[str, Any]:
    """Return what the `run.json` in `folder` says; nothing if there is none.

    Raises:
        UserError: it is damaged.
    """
    file = folder / RUN
    if not file.is_file():
        return {}
    with reading(file, fault="is not JSON of gist-bench", advice=RESTORE):
        run = json.loads(file.read_text(encoding="utf-8"))
        json.dumps(run, ensure_ascii=False).encode()  # half a character cannot be shown anywhere
        if not isinstance(run, dict):
            raise ValueError("it is no JSON object")
    return run


def read_metadata(folder: Path) -> RunMetadata:
    """Return the metadata of the run in `folder`; nothing is known if it has no run.json.

    Raises:
        UserError: its run.json is damaged.
    """
    run = read_run(folder)
    with reading(folder / RUN, advice=RESTORE):
        return _parse(run, folder.name)


def _parse(run: Mapping[str, Any], name: str) -> RunMetadata:
    configuration = _part(run, "configuration")
    model, suites = (_part(configuration, name) for name in ("model_description", "suites"))
    status = run.get("status", "finished")
    return RunMetadata(
        name=name,
        everything=run,
        model=str(configuration.get("model", "")),
        answers_in_sentences=model.get("answers_in_sentences") is True,
        reads_any_text=model.get("reads_any_text") is True,
        headline=str(run.get("headline") or ""),
        settings=", ".join(_settings(configuration)),
        fingerprint=str(configuration.get("fingerprint", "")),
        seed=str(configuration.get("seed", "")),
        suites={name: json.dumps(options, sort_keys=True) for name, options in suites.items()},
        of_files=frozenset(
            name for name, options in suites.items() if _is_of_file(_part(options, "options"))
        ),
        metrics={
            name: tuple(map(str, metrics))
            for name, metrics in _part(configuration, "metrics").items()
        },
        machine=_machine(_part(run, "environment")),
        notes=(
            *([] if status == "finished" else [f"Run {name} is incomplete: {status}."]),
            *map(str, run.get("notices") or ()),
            *_published(model),
        ),
        is_finished=status == "finished",
        checked=tuple(map(_checked, run.get("proofs") or ())),
        budgets={
            present_name(name): Budget(int(budget["tokens"]), present_name(str(budget["family"])))
            for name, options in _part(configuration, "backends").items()
            if (budget := _part(options, "budget"))
        },
    )


def _is_of_file(options: Mapping[str, Any]) -> bool:
    """Say whether a data set's contexts are asked as they stand: the seed at most orders them."""
    filled = options.get("filler_tokens", "") != NONE
    return not filled and options.get("data", NONE) != NONE


def _checked(entry: Mapping[str, Any]) -> Checked:
    backends = tuple(present_name(str(name)) for name in entry.get("backends") or ())
    checks = (
        (str(check["name"]), str(check["measured"]), str(check["limit"]), check["passed"] is True)
        for check in entry.get("proofs") or ()
    )
    return Checked(backends, "adapter" in entry, tuple(checks), str(entry.get("not_run", "")))


def _settings(configuration: Mapping[str, Any]) -> list[str]:
    model = _part(configuration, "model_description")
    words = (model.get("title"), configuration.get("device"), model.get("dtype"))
    flags = {"NF4": model.get("load_in_4bit"), "rescored": configuration.get("rescored")}
    return [
        *(str(word) for word in words if word),
        *(name for name, is_set in flags.items() if is_set),
    ]


def _machine(environment: Mapping[str, Any]) -> str:
    processor, threads = environment.get("processor"), environment.get("threads")
    if not processor:
        return ""
    return f"{processor}, {threads} threads" if threads else str(processor)


def _published(model: Mapping[str, Any]) -> list[str]:
    """Return a line with licence and source of a model that a package brings."""
    if not model.get("licence"):
        return []
    return [f"{model.get('name')}: licence {model['licence']}, from {model.get('source')}."]


def _part(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a nested object, or an empty one where it is missing or something else."""
    part = mapping.get(name)
    return part if isinstance(part, dict) else {}
