"""What a backend takes to read a context, keep it and answer about it.

Times are counted once for what they were measured on: `prepare_s` per sample, `generate_s` per
batch, both shared by several rows. Figures are medians over contexts, but for the memory peak,
which is the highest. A sweep over context sizes gets a row per size.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from harness.run.kept import Columns
from harness.run.metrics import Metric

QUESTIONS = (1, 10, 100)  # about one context, for the time per question
HELD = "contexts_held"
SAMPLE = ["run", "context"]  # of one suite and backend
BATCH = [*SAMPLE, "batch_id"]
BASELINE = "baseline_bytes"
WAITED = ("prepare_waited_s", "generate_waited_s")  # older runs have no such columns
BUSY = 0.1  # of the time: with more of it lost to other work, a time says little of a backend
ENOUGH_S = 1.0  # of what is measured: of less, nothing is said
STREAMED = "first_token_s"  # of requests that a server streamed; older runs have no such column
SIZE = ["context_tokens", HELD, "batch_size"]
PER_SAMPLE = ["prepare_s", "held_bytes"]  # the same in all rows of a sample
PER_QUESTION = ["context_entries", "prompt_tokens", "new_tokens"]
OF_SAMPLES = (  # the columns that `of_samples` and `decode_rates` look at
    *("sample_id", "batch_id", "contexts_held", "context_tokens", "max_new_tokens"),
    *("generate_s", "prepare_peak_bytes", "generate_peak_bytes", *PER_SAMPLE, *PER_QUESTION),
)
NAN = math.nan
_derived = partial(Metric, kind="cost", is_column=False)
HEADINGS = {n: f"per question, {n} asked" for n in QUESTIONS}
METRICS = (
    Metric(
        "first_token_s",
        "Time to first token: of a request for one token, after the context was read; of a served "
        "model, from sending a streamed request until its first token.",
        "s",
        "lower",
        kind="cost",
        headings=("first token",),
    ),
    _derived(
        "asked_again_s",
        "Time to the first token of a further streamed request about the same context. Shorter "
        "than first_token_s where the server has kept the prompt (prefix caching).",
        "s",
        "lower",
        headings=("asked again",),
    ),
    _derived(
        "decode_tokens_per_s",
        "Speed of one sequence after its first token: the tokens and seconds of the long request "
        "about a context minus those of the request for one token. Of streamed requests, the "
        "tokens after the first over the seconds after it.",
        "tokens/s",
        headings=("tokens/s",),
    ),
    _derived(
        "overall_tokens_per_s",
        "New tokens over the seconds of reading the context and answering once.",
        "tokens/s",
        headings=("overall",),
    ),
    _derived(
        "question_s",
        "generate_s per question. Tables add the question's share of prepare_s, for 1, 10 or 100 "
        "questions about a context.",
        "s",
        "lower",
        headings=(*HEADINGS.values(), *(f"{n} q" for n in QUESTIONS)),
    ),
    _derived(
        "peak_bytes",
        "The higher of prepare_peak_bytes and generate_peak_bytes.",
        "bytes",
        "lower",
        headings=("peak",),
    ),
)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a backend took; NaN where it is not known."""

    prepare_s: float
    first_s: float  # to one token of a context already read; of a server, to the first one
    again_s: float  # the same of a further streamed request about a context
    decode_rate: float  # tokens per second after the first, of one sequence
    overall_rate: float  # new tokens per second, prepare included
    question_s: float
    held_bytes: float
    peak_bytes: float
    baseline_bytes: float  # in use before a context was read: weights, and on a CPU the process
    waited: float  # share of the time in which other work had the processor

    def per_question_s(self, questions: int) -> float:
        """Return the time per question for so many about one context, prepare included."""
        return (self.prepare_s + questions * self.question_s) / questions


def measured(rows: Columns) -> Costs:
    """Return the costs of the rows of one backend (and size)."""
    samples = rows[[*SAMPLE, *PER_SAMPLE, *([BASELINE] if BASELINE in rows else [])]]
    samples = samples.drop_duplicates(SAMPLE)
    first_s, again_s, decode_rate = _decoding(rows)
    peaks = rows[["prepare_peak_bytes", "generate_peak_bytes"]]
    return Costs(
        prepare_s=samples["prepare_s"].median(),
        first_s=first_s,
        again_s=again_s,
        decode_rate=decode_rate,
        overall_rate=_overall(rows),
        question_s=question_s(rows),
        held_bytes=samples["held_bytes"].median(),
        peak_bytes=peaks.max().max(),
        baseline_bytes=samples[BASELINE].median() if BASELINE in samples else NAN,
        waited=_waited(rows),
    )


def _waited(rows: Columns) -> float:
    """Return for which share of all phases other work had the processor."""
    if any(name not in rows for name in WAITED):
        return NAN
    phases = rows[[*BATCH, "prepare_s", "generate_s", *WAITED]]
    waited = total = 0.0
    for once, took, name in zip((SAMPLE, BATCH), ("prepare_s", "generate_s"), WAITED, strict=True):
        known = phases.drop_duplicates(once)[[took, name]].dropna()
        total += float(known[took].sum())
        waited += float(known[name].sum())
    return waited / total if total >= ENOUGH_S else NAN


def too_busy(costs: Mapping[str, Costs]) -> str:
    """Return whose times are too long as the machine did other work too; empty: nobody's."""
    busy = [f"{name} {found.waited:.2f}" for name, found in costs.items() if found.waited > BUSY]
    if not busy:
        return ""
    return (
        f"Times are too long: other work had the processor for a part of them: {'; '.join(busy)}. "
        "Measure on a machine that does nothing else."
    )


def question_s(rows: Columns) -> float:
    """Return the seconds per question of the requests for the most tokens."""
    longest = answered_longest(rows, *BATCH)
    if longest.empty:
        return NAN
    return float(longest.drop_duplicates(BATCH)["generate_s"].sum() / len(longest))


def _overall(rows: Columns) -> float:
    """Return the new tokens per second of reading a context and answering, once each."""
    longest = answered_longest(rows, "new_tokens", "prepare_s")
    rates = longest["new_tokens"] / (longest["prepare_s"] + longest["generate_s"])
    return float(rates.median())


def answered_longest(rows: Columns, *names: str) -> pd.DataFrame:
    """Return columns of the rows that were answered and asked for the most tokens."""
    asked = rows[["generate_s", "max_new_tokens", *names]]
    asked = asked[asked["generate_s"].notna()]
    longest: pd.DataFrame = asked[asked["max_new_tokens"] == asked["max_new_tokens"].max()]
    return longest


def _decoding(rows: Columns) -> tuple[float, float, float]:
    """Return the time to one new token, that of asking again, and the tokens per second after it.

    A context is asked for one token and then for many: the latter request asks again.
    """
    names = [*BATCH, *SIZE, "generate_s", "max_new_tokens", "new_tokens"]
    asked = rows[[*names, *([STREAMED] if STREAMED in rows else [])]]
    asked = asked[asked["generate_s"].notna()].drop_duplicates(BATCH)
    streamed, is_first = _streamed(asked), asked["max_new_tokens"] == 1
    first_s = streamed[is_first].fillna(asked["generate_s"][is_first])
    again_s = streamed[~is_first] if is_first.any() else streamed[:0]
    return (
        float(first_s.median()),
        float(again_s.median()),
        float(decode_rates(asked).median()),
    )


def _streamed(rows: pd.DataFrame) -> "pd.Series[float]":
    """Return the time to the first token of each streamed request."""
    return rows[STREAMED] if STREAMED in rows else pd.Series(NAN, index=rows.index)


def decode_rates(asked: pd.DataFrame) -> "pd.Series[float]":
    """Return the decode rate of each context size, `context_tokens, contexts_held, batch_size`.

    It lies between the request for one token and the longest one about a context of that size, or
    behind the first token of a streamed request. The rate is that of one sequence: a batch of them
    gives as many times more.

    Args:
        asked: rows with a `generate_s`, one per batch.
    """
    if not (asked["max_new_tokens"] == 1).any():
        return pd.Series(dtype=float)
    later_s = (asked["generate_s"] - _streamed(asked)).where(asked["new_tokens"] > 1)
    if later_s.notna().any():
        rates = ((asked["new_tokens"] - 1) / later_s).where(later_s > 0)
        return rates.groupby([asked[name] for name in SIZE], dropna=False).median()
    shortest = asked.groupby(SIZE, dropna=False)["max_new_tokens"].transform("min")
    asked = asked[shortest == 1]
    by_size = [*SIZE, "max_new_tokens"]
    times = asked.groupby(by_size, dropna=False)[["new_tokens", "generate_s"]].median()
    ends = times.groupby(SIZE, dropna=False)
    more = ends.last() - ends.first()
    more = more[more["generate_s"] > 0]
    return more["new_tokens"] / more["generate_s"]


def of_samples(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what each sample cost, a row per `sample_id`; what is not known is NaN.

    Args:
        rows: the rows of one suite and backend, whole samples of one run.
    """
    of_sample = rows.groupby("sample_id", sort=False)
    batches = rows.drop_duplicates(["sample_id", "batch_id"]).groupby("sample_id", sort=False)
    costs = of_sample[PER_SAMPLE].first()
    costs[PER_QUESTION] = of_sample[PER_QUESTION].mean()
    costs["generate_s"] = batches["generate_s"].sum(min_count=1)
    costs["question_s"] = costs["generate_s"] / of_sample.size()
    peaks = of_sample[["prepare_peak_bytes", "generate_peak_bytes"]].max()
    costs[peaks.columns] = peaks
    costs["peak_bytes"] = peaks.max(axis=1)
    first = costs["generate_s"].where(of_sample["max_new_tokens"].max() == 1)
    if STREAMED in rows:
        first = of_sample[STREAMED].median().where(first.notna()).fillna(first)
    costs["first_token_s"] = first
    spent = costs["prepare_s"] + costs["generate_s"]
    costs["overall_tokens_per_s"] = of_sample["new_tokens"].sum(min_count=1) / spent
    return costs
