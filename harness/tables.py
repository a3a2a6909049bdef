"""The tables of answers: what each arm scores, and where.

A section is one suite under one setup. Questions that an arm could not answer (`error`) are
counted, never scored as 0; empty cells are left out. The functions return tables of text;
printing.py draws them, contrasts.py sets arm against arm, costs.py shows time and memory.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import mode

import numpy as np
import pandas as pd

from harness import printing, stats
from harness.controls import CONTROLS
from harness.facts import Budget
from harness.printing import Table

# The arms that a figure is defined by: the only places where an arm's name decides anything.
CEILING = "full"  # gap recovered reaches 1 here
FLOOR = "closed_book"  # and 0 here
COMPARED = "gist"  # differences are of this arm to every other one
NEEDED = {  # what a table with gist rows lacks without them
    CEILING: "what the whole context is worth",
    FLOOR: "what the model answers without the context",
    "oracle": "what the proving sentences alone are worth",
    "swapped": "what the gists of another document answer",
    "truncate": "what as many plain tokens are worth",
    "mean_pool": "what as many averaged entries are worth",
    "gist,untrained=true": "what gists are worth untrained",
    "gist,embeddings=random": "what the gist embeddings themselves have learnt",
}
INVALID = " (INVALID)"  # behind the name of an arm whose proofs failed

RANKS = {CEILING: 0, "oracle": 0, FLOOR: 2, "truncate": 2, "mean_pool": 2, "swapped": 2}
"""Of rows; gists that nobody has trained: 2, all others: 1."""
LEGEND = (
    "n: questions. In brackets: 95 % intervals; Wilson's where every context has one question, "
    f"else from resampling contexts; none where those are fewer than {stats.MIN_CONTEXTS}.",
    "Compression: tokens of the context over the KV entries that stand for it.",
)

BUDGETS = (
    "Budget: KV entries that a backend was to keep for a context. Entries kept: their mean, "
    "smaller where the context has fewer tokens or a passage ends before the budget does."
)

APART = ("template", "unseen")  # rows that the headline leaves out


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of one suite under one setup."""

    frame: pd.DataFrame  # rows of `rows.Rows.frame`, at least one
    slices: tuple[str, ...]  # the columns that the suite fills
    metrics: tuple[str, ...]  # those that it fills, the headline first; none: costs only

    budgets: Mapping[str, Budget] = field(default_factory=dict)  # of the arms that have one

    @property
    def arms(self) -> list[str]:
        """The backends: full context, then others as they came, then floors and controls."""
        found = self.frame["backend"].unique()  # in order of appearance
        return sorted(found, key=rank_of)

    def arms_named(self, name: str) -> list[str]:
        """Return the arms that are `name` with any options, the one without options first.

        Gists that nobody has trained are among them only where there are no others.
        """
        found = [arm for arm in self.arms if name_of(arm) == name]
        found = [arm for arm in found if not _is_untrained(arm)] or found
        return sorted(found, key=lambda arm: arm.removesuffix(INVALID) != name)

    @property
    def of_own_contexts(self) -> "Section":
        """The rows whose backend has read the sample's own context, and no control in its place."""
        own = [arm for arm in self.frame["backend"].unique() if name_of(arm) not in CONTROLS]
        return replace(self, frame=self.frame[self.frame["backend"].isin(own)])

    @property
    def counted(self) -> pd.DataFrame:
        """The rows that the headline counts: all but those that stand apart."""
        column, value = APART
        if column not in self.slices:
            return self.frame
        kept = self.frame[self.frame[column] != value]
        return self.frame if kept.empty else kept


def name_of(arm: str) -> str:
    """Return which backend or control an arm is, without its options."""
    found = re.match("[^,( ]*", arm)
    return found[0] if found else arm


def rank_of(arm: str) -> int:
    """Return where an arm stands in a table: 0 full context, 1 most, 2 floors and controls."""
    return 2 if _is_untrained(arm) else RANKS.get(name_of(arm), 1)


def _is_untrained(arm: str) -> bool:
    return any(_matches(arm, other) for other in ("gist,untrained=true", "gist,embeddings=random"))


def _matches(arm: str, pattern: str) -> bool:
    """Return whether an arm is the backend of `pattern` and has its options."""
    name, *options = pattern.split(",")
    return name_of(arm) == name and set(options) <= set(arm.removesuffix(INVALID).split(","))


def headline_table(section: Section) -> Table:
    """Return one row per arm with every metric, n, contexts, compression and errors."""
    main, *others = section.metrics
    by_arm = dict(iter(section.counted.groupby("backend", sort=False)))
    found = estimates(section.counted, main)
    besides = [estimates(section.counted, metric) for metric in others]
    errors = errors_by_arm(section.frame)
    rows = []
    for arm in section.arms:
        n = found[arm].n if arm in found else 0
        contexts = found[arm].contexts if arm in found else 0
        row = [arm, printing.interval(found.get(arm)), printing.count(n), printing.count(contexts)]
        row.append(_compression(by_arm[arm]) if arm in by_arm else printing.UNKNOWN)
        row += [errors.get(arm, "")] if errors else []
        rows.append((*row, *(with_n(metric.get(arm), n) for metric in besides)))
    header = ["backend", main, "n", "contexts", "compression"]
    header += ["errors"] if errors else []
    notes = (*_notes(section, found.values()), *notices(section.frame))
    return Table("Answers", (*header, *others), tuple(rows), notes, LEGEND)


def budget_tables(section: Section) -> Iterator[Table]:
    """Yield the headline metric of the arms that were given a budget, budget by budget."""
    if len(section.budgets) < 2:
        return
    main, frame = section.metrics[0], section.counted
    found = estimates(frame, main)
    kept = frame.groupby("backend")["context_entries"].mean()
    arms = [arm for arm in section.arms if arm in section.budgets and arm in found]
    rows = tuple(
        (
            printing.count(section.budgets[arm].tokens),
            section.budgets[arm].family,
            printing.interval(found[arm]),
            printing.rate(kept[arm]),
            printing.count(found[arm].n),
            printing.count(found[arm].contexts),
        )
        for arm in sorted(arms, key=lambda arm: section.budgets[arm].tokens)
    )
    header = ("budget", "backend", main, "entries kept", "n", "contexts")
    yield Table(f"{main} over budget", header, rows, legend=(BUDGETS,), keys=2)


def slice_tables(section: Section) -> Iterator[Table]:
    """Yield the headline metric of every arm (rows) at every value of a slice (columns)."""
    main = section.metrics[0]
    for name in section.slices:
        frame = section.frame if name == APART[0] else section.counted
        groups = dict(iter(frame[frame[name] != ""].groupby(name, sort=False)))
        found = {str(value): estimates(rows, main) for value, rows in groups.items()}
        found = {value: of_arms for value, of_arms in found.items() if of_arms}
        if len(found) < 2:
            continue
        header, columns = ["backend"], []
        for value in _ordered(found):
            n = mode(estimate.n for estimate in found[value].values())
            header.append(f"{value} (n={n:,})")
            columns.append([with_n(found[value].get(arm), n) for arm in section.arms])
        rows = tuple(zip(section.arms, *columns, strict=True))
        yield Table(f"{main} by {name}", tuple(header), rows)


def estimates(frame: pd.DataFrame, metric: str) -> dict[str, stats.Estimate]:
    """Return the mean of a metric for each arm that has one."""
    known = frame.loc[frame[metric].notna(), ["backend", metric, "context"]]
    return {
        str(arm): stats.mean_estimate(
            rows[metric].to_numpy(np.float64), rows["context"].to_numpy(np.int64)
        )
        for arm, rows in known.groupby("backend", sort=False)
    }


def with_n(estimate: stats.Estimate | None, n: int) -> str:
    """Return an interval, with its own n where that is not the `n` which stands beside it."""
    shown = printing.interval(estimate)
    return shown if estimate is None or estimate.n == n else f"{shown} n={estimate.n:,}"


def errors_by_arm(frame: pd.DataFrame) -> dict[str, str]:
    """Return `2 context_too_long, 1 out_of_memory` for each arm that has errors."""
    failed = frame[frame["error"] != ""]
    return {
        str(arm): ", ".join(f"{n:,} {error}" for error, n in codes.value_counts().items())
        for arm, codes in failed.groupby("backend", sort=False)["error"]
    }


def notices(frame: pd.DataFrame) -> list[str]:
    """Return what the rows themselves ask to be told, each once, and one error of each kind."""
    told = frame.loc[frame["notice"] != "", ["backend", "error", "notice"]].drop_duplicates()
    # An error's notice says what did not fit, another figure for each sample.
    told = told[(told["error"] == "") | ~told.duplicated(["backend", "error"])]
    return [
        ": ".join(filter(None, (arm, error, notice)))
        for arm, error, notice in told.itertuples(index=False)
    ]


def _notes(section: Section, found: Iterable[stats.Estimate]) -> Iterator[str]:
    column, value = APART
    left_out = len(section.frame) - len(section.counted)
    if left_out:
        yield (
            f"Without the {left_out:,} rows of {column}={value}, here and in every table of "
            f"answers but the one by {column}."
        )
    if section.arms_named(COMPARED):
        missing = [
            f"{control} ({meaning})"
            for control, meaning in NEEDED.items()
            if not any(_matches(arm, control) for arm in section.arms)
        ]
        if missing:
            yield f"Not run, so not known: {', '.join(missing)}. Run with --controls."
    if len({estimate.n for estimate in found}) > 1:
        yield "The arms answered different numbers of questions: compare them by the differences."


def _compression(rows: pd.DataFrame) -> str:
    """Return context tokens over the entries kept for them; `none` where none are kept."""
    known = rows[["context_tokens", "context_entries"]].dropna()
    if known.empty:
        return printing.UNKNOWN
    entries = known["context_entries"].sum()
    return f"{printing.rate(known['context_tokens'].sum() / entries)}x" if entries else "none"


def _ordered(found: Mapping[str, object]) -> list[str]:
    """Return slice values by size if they are numbers, else as they came."""
    try:
        return sorted(found, key=float)
    except ValueError:
        return list(found)
