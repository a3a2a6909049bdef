"""The sections of a report: the rows of one suite under one setup (model, device, dtype).

The backends that define a figure are named here: full context, closed book, gist. No other
module of the report decides anything by a backend's name; plots/look.py has their colours.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from harness.run.controls import CONTROLS, split_control
from harness.run.headline import declared
from harness.run.kept import Kept
from harness.run.metadata import Budget, RunMetadata
from harness.run.rows import Rows

CEILING = "full"  # gap recovered reaches 1 here
FLOOR = "closed_book"  # and 0 here
COMPARED = "gist"  # differences are between this backend and every other one
UNTRAINED = ("gist,untrained=true", "gist,embeddings=random")
BESIDE_GISTS = {  # what is needed beside gists, and what it shows
    "full": "score with the whole context",
    "closed_book": "score without the context",
    "oracle": "score with the supporting sentences alone",
    "shuffled": "score with the gists of another document",
    "truncate": "score with as many uncompressed tokens",
    "mean_pool": "score with as many averaged KV entries",
    "gist,untrained=true": "score with untrained gists",
    "gist,embeddings=random": "score with random gist embeddings",
}
INVALID = " (INVALID)"  # behind the name of a backend whose checks failed
# Rows that the headline leaves out of a model that was trained on the other templates.
HELD_OUT_SLICE = ("template", "unseen")

LONG_LIST = re.compile(r"=([^,+]+)((?:\+[^,+]+){3,})")  # an option with four values or more

T = TypeVar("T")
RANKS = {CEILING: 0, "oracle": 0, FLOOR: 2, "truncate": 2, "mean_pool": 2, "shuffled": 2}
"""The order of backends in a table; untrained gists: 2, all others: 1."""


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of one suite under one setup."""

    rows: Kept  # at least one, to be read column by column
    slices: tuple[str, ...]  # the columns that the suite fills
    metrics: tuple[str, ...]  # those that it fills, the headline first; none: costs only
    budgets: Mapping[str, Budget]  # of the backends that have one
    name: str  # the suite in short, and the setup if a report has several
    headline_note: str  # why the headline is not the suite's own
    holds_out: bool  # whether the headline leaves the held-out slice out
    suite: str
    setup: str  # model and settings
    _found: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: object, find: Callable[[], T]) -> T:
        """Return what `find` returns, found once for each key."""
        if key not in self._found:
            self._found[key] = find()
        found: T = self._found[key]
        return found

    @property
    def backends(self) -> list[str]:
        """The backends: full context, then others as they came, then floors and controls.

        Configurations of one backend stand together, those with more options and larger numbers
        later.
        """
        found = self.rows.backends
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
        own = [name for name in self.rows.backends if name_of(name) not in CONTROLS]
        return self.once("own", lambda: replace(self, rows=self.rows.of(*own)))

    @property
    def counted(self) -> Kept:
        """The rows that the headline metric counts."""
        return self.once("counted", self._counted)

    def _counted(self) -> Kept:
        column, value = HELD_OUT_SLICE
        if not self.holds_out or column not in self.slices:
            return self.rows
        kept = self.rows.where(column, lambda values: values != value)
        return kept if len(kept) else self.rows


def sections_of(rows: Rows) -> list[Section]:
    """Return the sections of a report, in the order of their first rows.

    Backends whose checks failed are marked in their name, so that every table shows it.
    """
    budgets = {
        name: budget
        for metadata in rows.metadata
        for backend, budget in metadata.budgets.items()
        for name in (backend, f"{backend}{INVALID}")
    }

    def marked(run: int, backend: str) -> str:
        return f"{backend}{INVALID}" if backend in rows.metadata[run].invalid else backend

    titles = _titles(suite for _, suite in rows.parts)
    sections = []
    for (setup, suite), part in rows.parts.items():
        own = part.renamed(marked)
        filled = [name for name in rows.metrics if own.has(name)]
        runs = [rows.metadata[run] for run in dict.fromkeys(own.constant("run"))]
        headline = declared(suite, filled, runs, rows.headline)
        sections.append(
            Section(
                own,
                slices=tuple(name for name in rows.slices if own.has(name)),
                metrics=headline.metrics,
                budgets={name: budgets[name] for name in own.backends if name in budgets},
                name=titles[suite] + (f" ({setup})" if len(rows.setups) > 1 else ""),
                headline_note=headline.note,
                holds_out=holds_out(runs),
                suite=suite,
                setup=setup,
            )
        )
    return sections


def _titles(suites: Iterable[str]) -> dict[str, str]:
    """Return how each suite is called: with long lists cut, if it can still be told from others."""
    cut = {
        suite: LONG_LIST.sub(lambda found: f"={found[1]} and {found[2].count('+')} more", suite)
        for suite in suites
    }
    return cut if len(set(cut.values())) == len(cut) else {suite: suite for suite in cut}


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
    return re.split("[,( ]", backend, maxsplit=1)[0]


def rank_of(backend: str) -> int:
    """Return where a backend stands in a table: 0 full context, 1 most, 2 floors and controls."""
    return 2 if _is_untrained(backend) else RANKS.get(name_of(backend), 1)


def is_usable(backend: str) -> bool:
    """Say whether a person could use a backend: no floor, no control, nothing untrained."""
    control, _ = split_control(backend.removesuffix(INVALID))
    return not control and rank_of(backend) < 2


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
