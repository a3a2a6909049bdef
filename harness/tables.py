"""The tables of answers: what each arm scores, and where.

A section is one suite under one setup. Questions that an arm could not answer (`error`) are
counted, never scored as 0; empty cells are left out. The functions return tables of text;
printing.py draws them, contrasts.py sets arm against arm, costs.py shows time and memory.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import mode

import numpy as np
import pandas as pd

from harness import printing, stats
from harness.printing import Table

# The arms that a figure is defined by: the only places where an arm's name decides anything.
CEILING = "full"  # gap recovered reaches 1 here
FLOOR = "closed_book"  # and 0 here
COMPARED = "gist"  # differences are of this arm to every other one
NEEDED = {  # what a table with gist rows lacks without them
    CEILING: "what the whole context is worth",
    FLOOR: "what the model answers without the context",
    "truncate": "what as many plain tokens are worth",
}

RANKS = {CEILING: 0, FLOOR: 2, "truncate": 2}  # of rows; all others: 1
LEGEND = (
    "n: questions. In brackets: 95 % intervals; Wilson's where every context has one question, "
    f"else from resampling contexts; none where those are fewer than {stats.MIN_CONTEXTS}.",
    "Compression: tokens of the context over the KV entries that stand for it.",
)

APART = ("template", "unseen")  # rows that the headline leaves out


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of one suite under one setup."""

    frame: pd.DataFrame  # rows of `rows.Rows.frame`, at least one
    slices: tuple[str, ...]  # the columns that the suite fills
    metrics: tuple[str, ...]  # those that it fills, the headline first; none: costs only

    @property
    def arms(self) -> list[str]:
        """The backends: full context, then others as they came, then the floors."""
        found = self.frame["backend"].unique()  # in order of appearance
        return sorted(found, key=lambda arm: RANKS.get(arm.partition(",")[0], 1))

    def arms_named(self, name: str) -> list[str]:
        """Return the arms that are `name` with any options, the one without options first."""
        found = [arm for arm in self.arms if arm.partition(",")[0] == name]
        return sorted(found, key=lambda arm: arm != name)

    @property
    def counted(self) -> pd.DataFrame:
        """The rows that the headline counts: all but those that stand apart."""
        column, value = APART
        if column not in self.slices:
            return self.frame
        kept = self.frame[self.frame[column] != value]
        return self.frame if kept.empty else kept


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
        for name, meaning in NEEDED.items():
            if not section.arms_named(name):
                yield f"No {name} rows, so {meaning} is not known: run with --backend {name} too."
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
