"""The table of costs: what each arm takes to read a context, to keep it and to ask it.

Times are counted once for what they were measured on: `prepare_s` per sample, `generate_s` per
batch, both shared by several rows. Figures are medians over contexts, but for the memory peak,
which is the highest. A sweep over context sizes gets a row per size.
"""

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from harness import printing
from harness.printing import Table
from harness.tables import Section, errors_by_arm, notices

ASKED = (1, 10, 100)  # questions per context, for the time per question
HELD = "contexts_held"
SAMPLE = ["run", "context"]  # of one suite and backend
BATCH = [*SAMPLE, "batch_id"]
NAN = math.nan
LEGEND = (
    "Costs: medians over contexts; peak: the highest, weights included. First token: of a context "
    "already read; tokens/s: those after it; overall: new tokens per second, prepare included.",
    "Asked 1x, 10x, 100x: time per question when a context is asked so often, prepare included.",
)


def cost_tables(section: Section) -> Iterator[Table]:
    """Yield a table if costs are known: a row per arm, and per size in a suite without metrics."""
    keys = _keys(section)
    groups = {
        tuple(map(_name, key)): rows
        for key, rows in section.frame.groupby(["backend", *keys], sort=False)
    }
    arms = {arm: at for at, arm in enumerate(section.arms)}
    ordered = sorted(groups, key=lambda key: (*map(_rank, key[1:]), arms[key[0]]))
    cells = [_cells(groups[key]) for key in ordered]
    shown = [name for name in cells[0] if any(row[name] != printing.UNKNOWN for row in cells)]
    if not shown:
        return
    figures = [[row[name] for name in shown] for row in cells]
    kinds = [kind for kind in section.frame["memory_kind"].unique() if kind]
    # A suite with metrics has told of its errors and notices where it shows the answers.
    told = section.metrics != ()
    yield Table(
        f"Costs (peak: {', '.join(kinds)})" if kinds else "Costs",
        ("backend", *keys, *shown),
        tuple((*key, *row) for key, row in zip(ordered, figures, strict=True)),
        () if told else (*_failures(groups), *notices(section.frame)),
        LEGEND,
        keys=1 + len(keys),
    )


def _keys(section: Section) -> list[str]:
    """Return the columns by which rows are split beside the backend: the sizes of a sweep."""
    if section.metrics:
        return []
    several = section.frame[HELD].nunique() > 1
    return [*section.slices, *([HELD] if several else [])]


def _failures(groups: Mapping[tuple[str, ...], pd.DataFrame]) -> Iterator[str]:
    """Yield the errors of groups whose row shows figures, from the samples that did work."""
    for key, rows in groups.items():
        if rows["prepare_s"].notna().any():
            for codes in errors_by_arm(rows).values():
                yield f"{', '.join(key)}: {codes}"


def _name(value: object) -> str:
    return printing.count(value) if isinstance(value, float) else str(value)


def _cells(rows: pd.DataFrame) -> Mapping[str, str]:
    """Return the cells of one table row by column; the backend is not among them."""
    samples = rows.drop_duplicates(SAMPLE)
    prepare_s = samples["prepare_s"].median()
    first_s, decoded = _decoding(rows)
    question_s = _question_s(rows)
    peak = rows[["prepare_peak_bytes", "generate_peak_bytes"]].max().max()
    errors = ", ".join(error for error in rows["error"].unique() if error)
    cells = {
        "prepare": errors if errors and math.isnan(prepare_s) else printing.seconds(prepare_s),
        "first token": printing.seconds(first_s),
        "tokens/s": printing.rate(decoded),
        "overall": printing.rate(_overall(rows)) if first_s > 0 else printing.UNKNOWN,
        "held": printing.size(samples["held_bytes"].median()),
        "peak": printing.size(peak),
    }
    for times in ASKED:
        each_s = (prepare_s + times * question_s) / times
        cells[f"asked {times}x"] = printing.seconds(each_s)
    return cells


def _question_s(rows: pd.DataFrame) -> float:
    """Return the seconds per question, where most tokens were asked for."""
    longest = _longest(rows)
    if longest.empty:
        return NAN
    return float(longest.drop_duplicates(BATCH)["generate_s"].sum() / len(longest))


def _overall(rows: pd.DataFrame) -> float:
    """Return the new tokens per second of reading a context and answering, once each."""
    longest = _longest(rows)
    rates = longest["new_tokens"] / (longest["prepare_s"] + longest["generate_s"])
    return float(rates.median())


def _longest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were answered and asked for the most tokens."""
    asked = rows[rows["generate_s"].notna()]
    longest: pd.DataFrame = asked[asked["max_new_tokens"] == asked["max_new_tokens"].max()]
    return longest


def _decoding(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the time of one new token, and the tokens per second of those after it.

    The rate is that of one sequence: a batch of them gives as many times more.
    """
    asked = rows[rows["generate_s"].notna()].drop_duplicates(BATCH)
    first = asked[asked["max_new_tokens"] == 1]
    if first.empty:
        return NAN, NAN
    rates = pd.Series(list(_rates(asked)), dtype=float)
    return float(first["generate_s"].median()), float(rates.median())


def _rates(asked: pd.DataFrame) -> Iterator[float]:
    """Yield the decode rate between the shortest and the longest answer of each context size."""
    for _, same in asked.groupby(["context_tokens", HELD, "batch_size"], dropna=False):
        times = same.groupby("max_new_tokens")[["new_tokens", "generate_s"]].median()
        one, many = times.iloc[0], times.iloc[-1]
        if many["generate_s"] > one["generate_s"]:
            more = many["new_tokens"] - one["new_tokens"]
            yield more / (many["generate_s"] - one["generate_s"])


def _rank(value: str) -> tuple[float, str]:
    """Return a sort key that puts numbers by size and leaves words after them."""
    try:
        return float(value), ""
    except ValueError:
        return math.inf, value
