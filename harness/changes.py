"""What changed between two runs: each figure of each arm, paired, and the answers behind it.

Answers are paired question by question, costs sample by sample, decode rates by context size. The
interval of a change resamples contexts; what is exact (bytes held, say) has an interval of width 0.
Rows that the report's headline leaves out stand apart here too, as a part of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from harness import costs, stats
from harness.metrics import METRICS
from harness.pairing import Pairs
from harness.rows import MEASURES
from harness.tables import APART

ERRORS = "errors"
RECALL = "evidence_recall"
RATE = "decode_tokens_per_s"
MEASURED = [name for name in MEASURES if name not in ("batch_id", "memory_kind")]
PEAKS = ["prepare_peak_bytes", "generate_peak_bytes"]
COSTS = (  # the others can be asked for by name
    "prepare_s",
    "question_s",
    "first_token_s",
    RATE,
    "held_bytes",
    "peak_bytes",
)


@dataclass(frozen=True)
class Change:
    """One figure of one arm in two runs, over what both have."""

    suite: str  # `qa`, or `qa, template=unseen` for rows that stand apart
    backend: str
    metric: str
    base: stats.Floats  # (n,)
    new: stats.Floats  # (n,) of the same questions, samples or sizes
    contexts: stats.Ints  # (n,)
    is_answer: bool  # else a cost
    bounded: bool  # between 0 and 1

    @property
    def same(self) -> bool:
        """Whether nothing at all is different."""
        return bool(np.array_equal(self.base, self.new))

    @property
    def is_time(self) -> bool:
        """Whether it depends on the machine's speed."""
        return self.metric in METRICS and METRICS[self.metric].is_time

    @cached_property
    def absolute(self) -> stats.Estimate:
        """The mean of new - base."""
        sides = self.new, self.base, self.contexts
        return self._exactly(stats.difference_estimate(*sides, bounded=self.bounded))

    @cached_property
    def relative(self) -> stats.Estimate | None:
        """The mean of new over that of base, minus 1; None where the base is 0."""
        sides = self.new, self.base, self.contexts
        found = stats.relative_estimate(*sides, bounded=self.bounded)
        return None if found is None else self._exactly(found)

    def _exactly(self, found: stats.Estimate) -> stats.Estimate:
        if self.metric in METRICS and METRICS[self.metric].exact:
            return stats.Estimate(found.mean, found.mean, found.mean, found.n, found.contexts)
        return found


@dataclass(frozen=True, slots=True)
class Turn:
    """An answer that was right and is wrong, or the other way round."""

    backend: str
    sample_id: str
    question_id: str
    targets: str  # as they stand in records.csv
    base: str  # the answers
    new: str


@dataclass(frozen=True, slots=True)
class Turns:
    """How the answers of a suite's arm changed, judged by one metric."""

    suite: str
    backend: str
    metric: str
    lost: tuple[Turn, ...]  # was right, now wrong
    won: tuple[Turn, ...]
    reworded: int  # another text that scores the same
    n: int  # questions that both runs answered

    @property
    def changed(self) -> bool:
        """Whether any answer is another one."""
        return bool(self.lost or self.won or self.reworded)


def all_changes(pairs: Pairs) -> Iterator[Change]:
    """Yield every figure of every arm that both runs have, suite by suite.

    Times are left out where the runs are from different machines, or it is not known.
    """
    base, new = (_numbered(rows, pairs) for rows in (pairs.base, pairs.new))
    # Peaks that were counted in two ways are two quantities.
    base.loc[pairs.base["memory_kind"] != pairs.new["memory_kind"], PEAKS] = np.nan
    arms = pairs.base["suite"] + "\0" + pairs.base["backend"]
    places = arms.groupby(arms).indices
    for name in arms.unique():
        suite, _, backend = name.partition("\0")
        first, second = (side.iloc[places[name]].reset_index(drop=True) for side in (base, new))
        for change in _of_arm((suite, backend), first, second, pairs.metrics):
            if pairs.same_machine or not change.is_time:
                yield change


def all_turns(pairs: Pairs) -> Iterator[Turns]:
    """Yield, for each arm of a suite that scores answers, which answers changed."""
    for (suite, backend), base in pairs.base.groupby(["suite", "backend"], sort=False):
        new = pairs.new.loc[base.index]
        metric = _judge(base, pairs.metrics)
        if metric is not None:
            yield _turns(str(suite), str(backend), metric, base, new)


def _numbered(rows: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    """Return the figures of rows, numbers in place of words: many arms are cut out of it."""
    column, value = APART
    words = {name: pd.factorize(rows[name])[0] for name in ("sample_id", "batch_id")}
    return rows[[*MEASURED, *pairs.metrics, RECALL]].assign(
        **words,
        failed=(rows["error"] != "").astype(float),
        apart=rows[column] == value if column in pairs.slices else False,
    )


def _of_arm(
    arm: tuple[str, str], base: pd.DataFrame, new: pd.DataFrame, metrics: Sequence[str]
) -> Iterator[Change]:
    """Yield an arm's scores, those of rows that stand apart by themselves, and its costs."""
    suite, backend = arm
    apart = base["apart"].to_numpy()
    if apart.all():  # then they are the headline, as in the report
        apart = ~apart
    for name, kept in ((suite, ~apart), (f"{suite}, {'='.join(APART)}", apart)):
        if kept.any():
            yield from _of_answers((name, backend), base[kept], new[kept], metrics)
    yield from _of_costs(arm, base, new)


def _of_answers(
    arm: tuple[str, str], base: pd.DataFrame, new: pd.DataFrame, metrics: Sequence[str]
) -> Iterator[Change]:
    contexts = base["sample_id"].to_numpy()
    for metric in (*metrics, RECALL):
        before, now = _floats(base[metric]), _floats(new[metric])
        both = ~np.isnan(before) & ~np.isnan(now)
        if both.any():
            before, now = before[both], now[both]
            bounded = bool(min(before.min(), now.min()) >= 0 and max(before.max(), now.max()) <= 1)
            yield Change(*arm, metric, before, now, contexts[both], is_answer=True, bounded=bounded)
    failed = _floats(base["failed"]), _floats(new["failed"])
    yield Change(*arm, ERRORS, *failed, contexts, is_answer=True, bounded=True)


def _of_costs(arm: tuple[str, str], base: pd.DataFrame, new: pd.DataFrame) -> Iterator[Change]:
    """Yield the costs of samples whose batches are whole in both runs."""
    whole = _whole(base) & _whole(new)
    if not whole.all():
        kept = ~base["sample_id"].isin(base.loc[~whole, "sample_id"])
        base, new = base[kept], new[kept]
    if base.empty:
        return
    before, now = costs.of_samples(base), costs.of_samples(new)
    for metric in before.columns:
        yield from _of_column(arm, metric, before[metric], now[metric])
    rates = [costs.decode_rates(rows[rows["generate_s"].notna()]) for rows in (base, new)]
    sizes = rates[0].index.intersection(rates[1].index)
    if len(sizes):
        yield from _of_column(arm, RATE, rates[0].loc[sizes], rates[1].loc[sizes])


def _of_column(
    arm: tuple[str, str], metric: str, before: "pd.Series[float]", now: "pd.Series[float]"
) -> Iterator[Change]:
    """Yield the change of a cost, each line a context of its own."""
    first, second = _floats(before), _floats(now)
    both = ~np.isnan(first) & ~np.isnan(second)
    if both.any():
        number = np.arange(both.sum())
        sides = first[both], second[both]
        yield Change(*arm, metric, *sides, number, is_answer=False, bounded=False)


def _whole(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Say for each row whether all questions of its batch are among the rows."""
    asked = rows.groupby(["sample_id", "batch_id"])["failed"].transform("size")
    return (asked == rows["batch_size"]) | rows["batch_size"].isna()


def _judge(rows: pd.DataFrame, metrics: Sequence[str]) -> str | None:
    """Return the metric that says which answers are right, the best there is."""
    filled = [name for name in metrics if rows[name].notna().any()]
    defined = [name for name in filled if name in METRICS and METRICS[name].judges]
    good = [name for name in filled if name not in METRICS or METRICS[name].better == "higher"]
    plain = [name for name in good if stats.is_zero_one(_floats(rows[name].dropna()))]
    return next(iter((*defined, *plain, *good)), None)


def _turns(suite: str, backend: str, metric: str, base: pd.DataFrame, new: pd.DataFrame) -> Turns:
    both = base[metric].notna() & new[metric].notna()
    base, new = base[both], new[both]
    was, now = base[metric] >= 1, new[metric] >= 1
    reworded = (base["answer"] != new["answer"]) & (base[metric] == new[metric])

    def told(chosen: "pd.Series[bool]") -> tuple[Turn, ...]:
        lines = zip(
            *(base.loc[chosen, name] for name in ("sample_id", "question_id", "targets", "answer")),
            new.loc[chosen, "answer"],
            strict=True,
        )
        return tuple(Turn(backend, *line) for line in lines)

    lost, won = told(was & ~now), told(~was & now)
    return Turns(suite, backend, metric, lost, won, int(reworded.sum()), len(base))


def _floats(column: "pd.Series[float] | pd.Series[bool]") -> stats.Floats:
    return np.asarray(column, dtype=np.float64)
