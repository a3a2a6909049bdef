"""What a run will do, settled before anything is written, and what is derived from it.

The order of the cells, the columns of the records, how many rows make a sample whole, and the
configuration whose hash names the run's folder.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.api import Model, Sample, Suite
from harness.controls import CONTROLS, Given, Task
from harness.environment import code_hash, file_hash
from harness.facts import Budget
from harness.records import Key, columns
from harness.spec import Spec, settings_of


@dataclass(frozen=True, slots=True)
class Job:
    """A suite with its samples."""

    name: str  # the canonical spec
    suite: Suite
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Arm:
    """A backend that can be built, and in which suites."""

    name: str  # the canonical spec
    spec: Spec
    kind: type
    settings: Mapping[str, str]  # every option with its value
    description: Mapping[str, Any]  # what else decides its answers
    notice: str  # for the reader of its rows
    scored: bool  # runs in suites with metrics
    costed: bool  # runs in suites without
    control: str = ""  # of harness.controls: what is read in place of the sample's own context
    budget: Budget | None = None  # KV entries that it was told to keep for a context


@dataclass(frozen=True, slots=True)
class Cell:
    """A suite with a backend, and what the backend is given."""

    job: Job
    arm: Arm
    tasks: tuple[Task, ...]


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
    arms: tuple[Arm, ...]
    settings: Settings
    notices: tuple[str, ...]

    def cells(self) -> Iterator[Cell]:
        """Yield every suite with every backend that runs in it."""
        for job in self.jobs:
            for arm in self.arms:
                given = self.given(job, arm)
                if given.tasks:
                    yield Cell(job, arm, given.tasks)

    def given(self, job: Job, arm: Arm) -> Given:
        """Return what a backend is given in a suite: nothing where it does not run."""
        if not (arm.scored if job.suite.metrics else arm.costed):
            return Given(())
        return CONTROLS[arm.control](job.samples, self.settings.seed)

    def header(self) -> tuple[str, ...]:
        """Return the columns of the records."""
        suites = [job.suite for job in self.jobs]
        slices = [name for suite in suites for name in suite.slice_names]
        return columns(slices, [name for suite in suites for name in suite.metrics])

    def questions(self) -> dict[Key, int]:
        """Return how many rows every sample of the run has when it is finished."""
        return {
            Key(cell.job.name, cell.arm.name, task.sample.id): task.questions
            for cell in self.cells()
            for task in cell.tasks
        }

    def configuration(self, model: Model) -> dict[str, Any]:
        """Return what could change a row: the name of the run's folder is its hash."""
        return {
            "model": model.name,
            "fingerprint": model.fingerprint,
            "prompt_hash": model.prompt_hash,
            "device": model.device.partition(":")[0],
            "model_description": dict(model.describe()),
            "suites": {job.name: _with_files(settings_of(job.suite)) for job in self.jobs},
            "backends": {
                arm.name: {
                    **_with_files(arm.settings),
                    "description": dict(arm.description),
                    "budget": asdict(arm.budget) if arm.budget else None,
                }
                for arm in self.arms
            },
            "seed": self.settings.seed,
            "limit": self.settings.limit,
            "batch_size": self.settings.batch_size,
            "code": code_hash(
                [type(job.suite) for job in self.jobs] + [arm.kind for arm in self.arms]
            ),
        }


def _with_files(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the options, and the hash of every file that one of them names."""
    paths = {name: _file_of(value) for name, value in settings.items()}
    files = {name: file_hash(path) for name, path in paths.items() if path.is_file()}
    return {"options": dict(settings), "files": files}


def _file_of(value: str) -> Path:
    """Return the path that an option names, behind a prefix (`squad:FILE`) if it has one."""
    path = Path(value).expanduser()
    return path if path.exists() else Path(value.partition(":")[2]).expanduser()
