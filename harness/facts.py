"""What a run's `run.json` says that its rows do not: settings, seed, machine, notices, proofs.

It is read by hand as well as by machine, and may be missing: then nothing is known.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError

RUN = "run.json"


@dataclass(frozen=True, slots=True)
class Proved:
    """What was checked of an adapter before its rows were measured."""

    backends: tuple[str, ...]  # the arms that rest on it
    proofs: tuple[tuple[str, str, str, bool], ...] = ()  # name, measured, limit, whether it holds
    not_run: str = ""  # why there are none

    @property
    def failed(self) -> bool:
        """Whether one of them does not hold."""
        return not all(passed for *_, passed in self.proofs)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many KV entries an arm was told to keep for a context."""

    tokens: int
    family: str  # the arm's name without it


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report needs to know of one run."""

    settings: str = ""  # device, dtype, quantisation: told beside the model
    fingerprint: str = ""  # of the model
    seed: str = ""
    suites: Mapping[str, str] | None = None  # spec -> all its options, data hashes included
    machine: str = ""
    notes: tuple[str, ...] = ()
    proved: tuple[Proved, ...] = ()
    budgets: Mapping[str, Budget] = field(default_factory=dict)  # of the arms that have one

    @property
    def invalid(self) -> frozenset[str]:
        """The arms that rest on an adapter of which a proof failed."""
        return frozenset(arm for proved in self.proved if proved.failed for arm in proved.backends)

    def data_of(self, suite: str) -> str:
        """Return what decides a suite's samples: equal for two runs, equal samples."""
        return f"{self.seed} {(self.suites or {}).get(suite, '')}"


def read_facts(folder: Path) -> Facts:
    """Return the facts of the run in `folder`; empty ones if it has no run.json.

    Raises:
        UserError: its run.json is damaged.
    """
    file = folder / RUN
    if not file.is_file():
        return Facts()
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}. Restore or remove it.") from error
    if not isinstance(run, dict):
        raise UserError(f"{file} is no {RUN} of gist-bench. Restore or remove it.")
    configuration = _part(run, "configuration")
    model = _part(configuration, "model_description")
    environment = _part(run, "environment")
    return Facts(
        settings=", ".join(_settings(configuration, model)),
        fingerprint=str(configuration.get("fingerprint", "")),
        seed=str(configuration.get("seed", "")),
        suites={
            name: json.dumps(options, sort_keys=True)
            for name, options in _part(configuration, "suites").items()
        },
        machine=_machine(environment),
        notes=tuple(_notes(folder.name, run)),
        proved=tuple(_proved(entry) for entry in run.get("proofs") or ()),
        budgets={
            name: Budget(int(budget["tokens"]), str(budget["family"]))
            for name, options in _part(configuration, "backends").items()
            if (budget := _part(options, "budget"))
        },
    )


def _proved(entry: Mapping[str, Any]) -> Proved:
    return Proved(
        tuple(map(str, entry.get("backends") or ())),
        tuple(
            (
                str(proof["name"]),
                str(proof["measured"]),
                str(proof["limit"]),
                proof["passed"] is True,
            )
            for proof in entry.get("proofs") or ()
        ),
        str(entry.get("not_run", "")),
    )


def _settings(configuration: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    words = [str(configuration.get("device", "")), str(model.get("dtype", ""))]
    return [word for word in words if word] + (["NF4"] if model.get("load_in_4bit") else [])


def _machine(environment: Mapping[str, Any]) -> str:
    processor, threads = environment.get("processor"), environment.get("threads")
    if not processor:
        return ""
    return f"{processor}, {threads} threads" if threads else str(processor)


def _notes(name: str, run: Mapping[str, Any]) -> list[str]:
    notices = [str(notice) for notice in run.get("notices") or ()]
    status = run.get("status", "finished")
    return notices if status == "finished" else [f"Run {name} is not whole: {status}.", *notices]


def _part(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a nested object, or an empty one where it is missing or something else."""
    part = mapping.get(name)
    return part if isinstance(part, dict) else {}
