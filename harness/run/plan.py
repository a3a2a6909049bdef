"""What a run will do, complete before anything is written.

From it follow the order of the cells, the columns of the records, how many rows a finished sample
has, and the identity whose hash names the run's folder.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.api import Model, Sample, Suite
from harness.files import file_hash
from harness.run.controls import CONTROLS, ControlledSample, ControlledSamples
from harness.run.environment import code_hash
from harness.run.metadata import Budget
from harness.run.records import Key, columns
from harness.run.spec import Spec, settings_of


@dataclass(frozen=True, slots=True)
class Job:
    """A suite with its samples."""

    name: str  # the canonical spec
    suite: Suite
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A backend with its options, and the suites that it runs in."""

    name: str  # the canonical spec
    spec: Spec
    kind: type
    settings: Mapping[str, str]  # every option with its value
    description: Mapping[str, Any]  # as the backend describes itself
    notice: str  # shown beside its rows
    scored: bool  # runs in suites with metrics
    costed: bool  # runs in suites without
    control: str = ""  # of harness.run.controls
    budget: Budget | None = None  # how many KV entries it keeps for a context


@dataclass(frozen=True, slots=True)
class Cell:
    """A suite with a backend, and what the backend reads."""

    job: Job
    configuration: Configuration
    samples: tuple[ControlledSample, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the rows beside model, suites and backends."""

    seed: int = 0
    limit: int | None = None  # samples per suite
    batch_size: int = 8  # questions asked at once in suites with metrics


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will be run, in order."""

    jobs: tuple[Job, ...]
    configurations: tuple[Configuration, ...]
    settings: Settings
    notices: tuple[str, ...]

    def cells(self) -> Iterator[Cell]:
        """Yield every suite with every backend that runs in it."""
        for job in self.jobs:
            for configuration in self.configurations:
                controlled = self.controlled(job, configuration)
                if controlled.samples:
                    yield Cell(job, configuration, controlled.samples)

    def controlled(self, job: Job, configuration: Configuration) -> ControlledSamples:
        """Return what a backend reads in a suite: nothing where it does not run."""
        if not (configuration.scored if job.suite.metrics else configuration.costed):
            return ControlledSamples(())
        return CONTROLS[configuration.control](job.samples, self.settings.seed)

    def header(self) -> tuple[str, ...]:
        """Return the columns of the records."""
        suites = [job.suite for job in self.jobs]
        slices = [name for suite in suites for name in suite.slice_names]
        return columns(slices, [name for suite in suites for name in suite.metrics])

    def questions(self) -> dict[Key, int]:
        """Return how many rows every sample of the run has when it is finished."""
        return {
            Key(cell.job.name, cell.configuration.name, each.sample.id): each.questions
            for cell in self.cells()
            for each in cell.samples
        }

    def identity(self, model: Model) -> dict[str, Any]:
        """Return everything that could change a row; its hash names the run's folder."""
        return {
            "model": model.name,
            "fingerprint": model.fingerprint,
            "prompt_hash": model.prompt_hash,
            "device": model.device.partition(":")[0],
            "model_description": dict(model.describe()),
            "suites": {job.name: _with_files(settings_of(job.suite)) for job in self.jobs},
            "metrics": {job.name: list(job.suite.metrics) for job in self.jobs},
            "backends": {
                configuration.name: {
                    **_with_files(configuration.settings),
                    "description": dict(configuration.description),
                    "budget": asdict(configuration.budget) if configuration.budget else None,
                }
                for configuration in self.configurations
            },
            "seed": self.settings.seed,
            "limit": self.settings.limit,
            "batch_size": self.settings.batch_size,
            "code": code_hash(
                [type(job.suite) for job in self.jobs]
                + [configuration.kind for configuration in self.configurations]
            ),
        }


def _with_files(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the options, and the hash of every file that one of them names."""
    paths = {name: file_of(value) for name, value in settings.items()}
    files = {name: file_hash(path) for name, path in paths.items() if path.is_file()}
    return {"options": dict(settings), "files": files}


def file_of(value: str) -> Path:
    """Return the path that an option names, behind a prefix (`squad:FILE`) if it has one."""
    path = Path(value).expanduser()
    return path if path.exists() else Path(value.partition(":")[2]).expanduser()
