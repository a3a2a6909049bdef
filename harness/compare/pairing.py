"""Two runs, question by question: what both have, what one has, and whether they compare.

A pair is the same suite, backend, sample and question in both. A question of the base that the new
run has no row of is paired with a row without an answer, as if it had ended in an error. Runs on
different data are refused: their difference would be one of the questions. Runs on different
machines are paired without their times, which say nothing about the code.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import UserError
from harness.report.sections import holds_out
from harness.run.headline import Headline, declared
from harness.run.metadata import RUN
from harness.run.rows import Rows, read_rows

MISSING = "missing"  # in place of an error, where there is no row
KEYS = ["suite", "backend", "sample_id", "question_id"]
MAX_DIFFERING = 8  # settings that are named


@dataclass(frozen=True, slots=True)
class Pairs:
    """The rows of two runs that belong together, line by line."""

    base: pd.DataFrame  # rows of `Rows.frame`, in the order of the base
    new: pd.DataFrame  # as many; row k is the same question
    metrics: tuple[str, ...]  # columns that both have
    headlines: Mapping[str, Headline]  # of each suite
    holds_out: bool  # whether the held-out slice has figures of its own
    slices: tuple[str, ...]
    notes: tuple[str, ...]  # settings that differ
    warnings: tuple[str, ...]  # what limits the comparison
    same_machine: bool  # and known to be: times can be compared
    in_common: int  # questions that both runs have a row of
    gone: tuple[str, ...]  # what no longer answers at all: suite, backend, and why


def read_pairs(base: Path, new: Path, *, headline: str = "") -> Pairs:
    """Read two runs and pair their rows.

    Args:
        base: a run folder or its records.csv.
        new: another one.
        headline: the metric of answers, where it is not what the runs declare.

    Raises:
        UserError: a path holds no run, or the runs have different data or nothing in common.
    """
    sides = {}
    for name, path in (("BASE", base), ("NEW", new)):
        sides[name] = read_rows([path], answers=True, headline=headline)
        _refuse_several(name, path, sides[name])
    old, now = sides["BASE"], sides["NEW"]
    _refuse_other_files(old, now)
    first, second = _paired(old.frame, now.frame)
    if first.empty:
        raise UserError(
            f"{base} and {new} have no question in common: suite, backend, sample_id and "
            "question_id must be the same. Run the same suites and backends."
        )
    _refuse_other_data(first, second)
    in_common = len(first)
    first, second = _with_lost(old.frame, now.frame, first, second)
    machines = [{run.machine for run in side.metadata} for side in (old, now)]
    known = all(len(names) == 1 and "" not in names for names in machines)
    same = known and machines[0] == machines[1]
    metrics = tuple(name for name in old.metrics if name in now.metrics)
    runs = (*old.metadata, *now.metadata)
    headlines = {
        str(suite): declared(
            str(suite), [name for name in metrics if rows[name].notna().any()], runs, headline
        )
        for suite, rows in first.groupby("suite", sort=False)
    }
    warnings = [*_unpaired(old.frame, now.frame), *_of_machines(machines, same=same)]
    if (first["memory_kind"] != second["memory_kind"]).any():
        warnings.append("Memory was counted in different ways, so peaks are left out there.")
    warnings += _lost_metrics("BASE", first, old.metrics, metrics)
    warnings += _lost_metrics("NEW", second, now.metrics, metrics)
    return Pairs(
        first,
        second,
        metrics,
        headlines,
        holds_out(runs),
        tuple(name for name in old.slices if name in now.slices),
        (
            *dict.fromkeys(filter(None, (h.note for h in headlines.values()))),
            *_differing_settings(old, now),
        ),
        (*_of_status(sides), *warnings),
        same,
        in_common,
        tuple(_gone(first, second)),
    )


def _refuse_several(name: str, path: Path, side: Rows) -> None:
    repeated = side.frame[side.frame.duplicated(KEYS)]
    if len(repeated):
        row = repeated.iloc[0]
        raise UserError(
            f"{name} {path} has question {row['question_id']!r} of sample {row['sample_id']!r} "
            f"several times for {row['suite']}, {row['backend']}. Give one run folder."
        )


def _paired(base: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of both that have the same keys, in the same order."""
    places = new[KEYS].assign(at_new=range(len(new)))
    both = base[KEYS].assign(at_base=range(len(base))).merge(places, on=KEYS)
    first, second = base.iloc[both["at_base"]], new.iloc[both["at_new"]]
    return first.reset_index(drop=True), second.reset_index(drop=True)


def _with_lost(
    base: pd.DataFrame, new: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add the rows of the base that have no partner, each with one that says nothing.

    Args:
        base: all its rows.
        new: all rows of the new run.
        first: rows of the base that have a partner.
        second: their partners.
    """
    marked = base[KEYS].merge(first[KEYS], on=KEYS, how="left", indicator=True)
    # A suite that the new run did not run at all is named in a warning, and judged by no gate.
    ran = base["suite"].isin(new["suite"]).to_numpy()
    lost = base[(marked["_merge"] == "left_only").to_numpy() & ran]
    if lost.empty:
        return first, second
    nothing = lost.assign(error=MISSING, answer="")
    numbers = nothing.select_dtypes("number").columns.difference(["run", "context", "question"])
    nothing[numbers] = float("nan")
    both = (pd.concat(pair, ignore_index=True) for pair in ((first, lost), (second, nothing)))
    first, second = both
    return first, second


def _gone(base: pd.DataFrame, new: pd.DataFrame) -> Iterator[str]:
    """Yield each suite and backend that answered in the base, and answers nothing any more."""
    for (suite, backend), rows in base.groupby(["suite", "backend"], sort=False):
        errors = new.loc[rows.index, "error"]
        if (rows["error"] == "").any() and (errors != "").all():
            counts = (f"{n:,} {error}" for error, n in errors.value_counts().items())
            yield f"{suite}, {backend}: no answers in NEW ({', '.join(counts)})"


def _refuse_other_files(base: Rows, new: Rows) -> None:
    """Compare the hashes of the data files that the suites were given."""
    before, now = _files(base), _files(new)
    for suite in before.keys() & now.keys():
        if before[suite] and now[suite] and before[suite] != now[suite]:
            raise UserError(
                f"BASE and NEW read different data in {suite}: the hash of its file in {RUN} "
                "differs. Run both on the same file."
            )


def _files(side: Rows) -> dict[str, set[str]]:
    """Return the hashes of each suite's data files; their paths may differ."""
    found: dict[str, set[str]] = {}
    for metadata in side.metadata:
        for suite, text in metadata.suites.items():
            files = json.loads(text).get("files") or {}
            found.setdefault(suite, set()).update(map(str, files.values()))
    return found


def _refuse_other_data(base: pd.DataFrame, new: pd.DataFrame) -> None:
    """Compare the targets and the context's size of the same question."""
    sizes = base["context_tokens"], new["context_tokens"]
    other_size = (sizes[0] != sizes[1]) & sizes[0].notna() & sizes[1].notna()
    for column, differs in (
        ("targets", base["targets"] != new["targets"]),
        ("context_tokens", other_size),
    ):
        if differs.any():
            at = int(differs.to_numpy().argmax())
            row = base.iloc[at]
            said = f"{_short(row[column])} in BASE and {_short(new.iloc[at][column])} in NEW"
            also = " (or another tokenizer)" if column == "context_tokens" else ""
            raise UserError(
                f"BASE and NEW have different data{also}: {column} of {row['suite']}, sample "
                f"{row['sample_id']!r}, question {row['question_id']!r} are {said} "
                f"({int(differs.sum()):,} of {len(base):,} rows). Give both the same data and seed."
            )


def _short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _unpaired(base: pd.DataFrame, new: pd.DataFrame) -> Iterator[str]:
    """Yield a line for each suite and backend of which one run lacks some rows, or all."""
    for name, rows, others in (("BASE", base, new), ("NEW", new, base)):
        marked = rows[KEYS].merge(others[KEYS], on=KEYS, how="left", indicator=True)
        alone = marked[marked["_merge"] == "left_only"]
        backends = set(zip(others["suite"], others["backend"], strict=True))
        whole: dict[str, list[str]] = {}
        for (suite, backend), n in Counter(
            zip(alone["suite"], alone["backend"], strict=True)
        ).items():
            if (suite, backend) in backends:
                yield f"Only in {name}: {n:,} rows of {suite}, {backend}."
            else:
                whole.setdefault(suite, []).append(f"{backend} ({n:,} rows)")
        for suite, lacking in whole.items():
            all_of_it = "" if suite in set(others["suite"]) else " (all of the suite)"
            yield f"Only in {name}: {suite}{all_of_it}: {'; '.join(lacking)}."


def _lost_metrics(
    name: str, paired: pd.DataFrame, own: Sequence[str], shared: Sequence[str]
) -> Iterator[str]:
    """Yield a line if questions of both runs have scores that only one of them knows."""
    lost = [metric for metric in own if metric not in shared and paired[metric].notna().any()]
    if lost:
        yield f"Only {name} has the metrics {', '.join(lost)}."


def _of_machines(machines: list[set[str]], *, same: bool) -> Iterator[str]:
    if not same:
        old, now = (", ".join(sorted(filter(None, names))) or "not known" for names in machines)
        yield f"Different machines, so times are left out. BASE: {old}. NEW: {now}."


def _of_status(sides: Mapping[str, Rows]) -> Iterator[str]:
    for name, side in sides.items():
        for run in side.metadata:
            if not run.is_finished:
                yield f"{name}: {run.notes[0]}"


def _differing_settings(base: Rows, new: Rows) -> Iterator[str]:
    """Yield the settings and packages that differ between the two runs."""
    if len(base.metadata) > 1 or len(new.metadata) > 1:
        return
    before, now = (_settings(side.metadata[0].everything) for side in (base, new))
    differing = [
        f"{name}: {before[name]} -> {now[name]}"
        for name in before
        if name in now and before[name] != now[name]
    ]
    if differing:
        more = len(differing) - MAX_DIFFERING
        yield (
            "Different settings: "
            + "; ".join(differing[:MAX_DIFFERING])
            + (f"; {more} more" if more > 0 else "")
        )


def _settings(run: Mapping[str, Any]) -> dict[str, str]:
    """Return the leaves of a run's configuration and packages, by their path."""
    environment = run.get("environment") or {}
    parts = {**(run.get("configuration") or {}), **(environment.get("packages") or {})}
    flat = pd.json_normalize({**parts, "python": environment.get("python")}).to_dict("records")[0]
    return {str(path): str(value) for path, value in flat.items()}
