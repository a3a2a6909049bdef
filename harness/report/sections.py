"""The sections of a report: the rows of one suite under one setup (model, device, dtype).

The backends that define a figure are named here: full context, closed book, gist. No other
module of the report decides anything by a backend's name.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from harness.run.controls import CONTROLS
from harness.run.headline import declared
from harness.run.metadata import Budget, RunMetadata
from harness.run.rows import Rows

CEILING = "full"  # gap recovered reaches 1 here
FLOOR = "closed_book"  # and 0 here
COMPARED = "gist"  # differences are between this backend and every other one
UNTRAINED = ("gist,untrained=true", "gist,embeddings=random")
INVALID = " (INVALID)"  # behind the name of a backend whose checks failed
# Rows that the headline leaves out of a model that was trained on the other templates.
HELD_OUT_SLICE = ("template", "unseen")

RANKS = {CEILING: 0, "oracle": 0, FLOOR: 2, "truncate": 2, "mean_pool": 2, "shuffled": 2}
"""The order of backends in a table; untrained gists: 2, all others: 1."""


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of one suite under one setup."""

    frame: pd.DataFrame  # rows of `Rows.frame`, at least one
    slices: tuple[str, ...]  # the columns that the suite fills
    metrics: tuple[str, ...]  # those that it fills, the headline first; none: costs only
    budgets: Mapping[str, Budget] = field(default_factory=dict)  # of the backends that have one
    name: str = ""  # the suite, and the setup if a report has several
    headline_note: str = ""  # why the headline is not the suite's own
    holds_out: bool = True  # whether the headline leaves the held-out slice out

    @property
    def backends(self) -> list[str]:
        """The backends: full context, then others as they came, then floors and controls.

        Configurations of one backend stand together, those with more options and larger numbers
        later.
        """
        found = list(self.frame["backend"].unique())  # unique keeps the order
        first = {name_of(b): place for place, b in reversed(list(enumerate(found)))}
        return sorted(found, key=lambda b: (rank_of(b), first[name_of(b)], *_options_of(b)))

    def backends_named(self, name: str) -> list[str]:
        """Return the configurations of a backend, the one without options first.

        Untrained gists are among them only where there are no others.
        """
        named = [backend for backend in self.backends if name_of(backend) == name]
        named = [backend for backend in named if not _is_untrained(backend)] or named
        return sorted(named, key=lambda backend: backend.removesuffix(INVALID) != name)

    @property
    def of_own_contexts(self) -> "Section":
        """The rows whose backend read the sample's own context: no controls."""
        backends = self.frame["backend"]
        own = [backend for backend in backends.unique() if name_of(backend) not in CONTROLS]
        return replace(self, frame=self.frame[backends.isin(own)])

    @property
    def counted(self) -> pd.DataFrame:
        """The rows that the headline metric counts."""
        column, value = HELD_OUT_SLICE
        if not self.holds_out or column not in self.slices:
            return self.frame
        kept = self.frame[self.frame[column] != value]
        return self.frame if kept.empty else kept


def sections_of(rows: Rows) -> list[Section]:
    """Return the sections of a report, in the order of their first rows.

    Backends whose checks failed are marked in their name, so that every table shows it.
    """
    backends = [
        f"{backend}{INVALID}" if backend in rows.metadata[run].invalid else backend
        for backend, run in zip(rows.frame["backend"], rows.frame["run"], strict=True)
    ]
    budgets = {
        name: budget
        for metadata in rows.metadata
        for backend, budget in metadata.budgets.items()
        for name in (backend, f"{backend}{INVALID}")
    }
    several = rows.frame["setup"].nunique() > 1
    sections = []
    for (setup, suite), frame in rows.frame.assign(backend=backends).groupby(
        ["setup", "suite"], sort=False
    ):
        filled = [name for name in rows.metrics if frame[name].notna().any()]
        runs = [rows.metadata[run] for run in frame["run"].unique()]
        headline = declared(str(suite), filled, runs, rows.headline)
        sections.append(
            Section(
                frame,
                slices=tuple(name for name in rows.slices if (frame[name] != "").any()),
                metrics=headline.metrics,
                budgets={
                    backend: budgets[backend]
                    for backend in frame["backend"].unique()
                    if backend in budgets
                },
                name=f"{suite} ({setup})" if several else str(suite),
                headline_note=headline.note,
                holds_out=holds_out(runs),
            )
        )
    return sections


def holds_out(runs: Sequence[RunMetadata]) -> bool:
    """Return whether the held-out slice differs from the others for a run's model."""
    return not all(run.reads_any_text for run in runs)


def scored(sections: Sequence[Section]) -> list[Section]:
    """Return the sections that have scores, not costs alone."""
    return [section for section in sections if section.metrics]


def backends_of(sections: Iterable[Section]) -> list[str]:
    """Return all backends of some sections, each once."""
    return list(dict.fromkeys(backend for section in sections for backend in section.backends))


def name_of(backend: str) -> str:
    """Return the name of a backend or control, without its options."""
    name = re.match("[^,( ]*", backend)
    return name[0] if name else backend


def rank_of(backend: str) -> int:
    """Return where a backend stands in a table: 0 full context, 1 most, 2 floors and controls."""
    return 2 if _is_untrained(backend) else RANKS.get(name_of(backend), 1)


def matches(backend: str, pattern: str) -> bool:
    """Return whether a configuration is of the backend of `pattern` and has its options."""
    name, *options = pattern.split(",")
    given = backend.removesuffix(INVALID).split(",")
    return name_of(backend) == name and set(options) <= set(given)


def _options_of(backend: str) -> tuple[int, list[float]]:
    """Return how many options a configuration has, and the numbers in them."""
    return backend.count(","), [float(number) for number in re.findall(r"\d+\.?\d*", backend)]


def _is_untrained(backend: str) -> bool:
    return any(matches(backend, pattern) for pattern in UNTRAINED)
