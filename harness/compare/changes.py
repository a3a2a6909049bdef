"""What changed between two runs: each figure of each backend, paired, and the answers behind it.

Answers are paired question by question, costs sample by sample, decode rates by context size. The
interval of a change resamples contexts; what is exact (bytes held, say) has an interval of width 0.
A question that one run did not answer (an error, or no row in the new run) counts as wrong there,
0, in metrics where more is better. The held-out slice has figures of its own here too, where the
report's headline leaves it out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from harness.compare.pairing import MISSING, Pairs
from harness.report import costs, significance, stats
from harness.report.metrics import all_metrics
from harness.report.sections import HELD_OUT_SLICE
from harness.run.metrics import Metric
from harness.run.parsing import MEASURES

ERRORS = "errors"
RECALL = "evidence_recall"
RATE = "decode_tokens_per_s"
MEASURED = [name for name in MEASURES if name not in ("batch_id", "memory_kind")]
PEAKS = ["prepare_peak_bytes", "generate_peak_bytes"]
COSTS = (  # others can have gates
    "prepare_s",
    "question_s",
    "first_token_s",
    RATE,
    "held_bytes",
    "peak_bytes",
)


def definition(metric: str) -> Metric:
    """Return what a metric means; one without definition can go either way."""
    unknown = Metric(metric, "", unit="", better="neither")
    return all_metrics().get(metric, unknown)


@dataclass(frozen=True)
class Change:
    """One figure of one backend in two runs, over what both have."""

    suite: str  # `qa`, or `qa, template=unseen` for held-out rows
    backend: str
    metric: str
    base: stats.Floats  # (n,)
    new: stats.Floats  # (n,) of the same questions, samples or sizes
    contexts: stats.Ints  # (n,)
    is_answer: bool  # else a cost
    bounded: bool  # between 0 and 1
    is_headline: bool = False  # of its suite

    @property
    def same(self) -> bool:
        """Whether nothing at all is different."""
        return bool(np.array_equal(self.base, self.new))

    @property
    def is_time(self) -> bool:
        """Whether it depends on the machine's speed."""
        return definition(self.metric).is_time

    @property
    def is_exact(self) -> bool:
        """Whether it is the same in every run on the same rows."""
        return definition(self.metric).is_exact

    def p_against(self, tolerance: float, *, relative: bool) -> float:
        """Return the two-sided p of the change being the tolerance, by the paired test.

        Args:
            tolerance: of new - base, or with `relative` of new / base - 1.
            relative: what it is of.
        """
        if self.is_exact:
            return 0.0
        expected = (1 + tolerance) * self.base if relative else self.base + tolerance
        return significance.sign_flip_p(self.new - expected, self.contexts)

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
        if self.is_exact:
            return stats.Estimate(found.mean, found.mean, found.mean, found.n, found.contexts)
        return found


@dataclass(frozen=True, slots=True)
class FlippedAnswer:
    """An answer that changed from right to wrong, or from wrong to right."""

    backend: str
    sample_id: str
    question_id: str
    targets: str  # as in records.csv
    base: str  # the answers
    new: str


@dataclass(frozen=True, slots=True)
class FlippedAnswers:
    """How the answers of a suite's backend changed, judged by one metric."""

    suite: str
    backend: str
    metric: str
    lost: tuple[FlippedAnswer, ...]  # right before, wrong now
    won: tuple[FlippedAnswer, ...]
    reworded: int  # another text with the same score
    n: int  # questions that both runs answered

    @property
    def changed(self) -> bool:
        """Whether any answer changed."""
        return bool(self.lost or self.won or self.reworded)


def all_changes(pairs: Pairs) -> Iterator[Change]:
    """Yield every figure of every backend that both runs have, suite by suite.

    Times are left out where the runs are from different machines, or it is not known.
    """
    base, new = (_numbered(rows, pairs) for rows in (pairs.base, pairs.new))
    # Peaks that were counted in different ways cannot be compared.
    base.loc[pairs.base["memory_kind"] != pairs.new["memory_kind"], PEAKS] = np.nan
    backends = pairs.base["suite"] + "\0" + pairs.base["backend"]
    places = backends.groupby(backends).indices
    for name in backends.unique():
        suite, _, backend = name.partition("\0")
        first, second = (side.iloc[places[name]].reset_index(drop=True) for side in (base, new))
        for change in _of_backend((suite, backend), first, second, pairs.headlines[suite].metrics):
            if pairs.same_machine or not change.is_time:
                yield change


def flipped_answers(pairs: Pairs) -> Iterator[FlippedAnswers]:
    """Yield, for each backend of a suite that scores answers, which answers changed."""
    for (suite, backend), base in pairs.base.groupby(["suite", "backend"], sort=False):
        new = pairs.new.loc[base.index]
        metric = _judge(base, pairs.headlines[str(suite)].metrics)
        if metric is not None:
            yield _flipped(str(suite), str(backend), metric, base, new)


def _numbered(rows: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    """Return the figures of rows with numbers in place of words: faster to split by backend."""
    column, value = HELD_OUT_SLICE
    words = {name: pd.factorize(rows[name])[0] for name in ("sample_id", "batch_id")}
    return rows[[*MEASURED, *pairs.metrics, RECALL]].assign(
        **words,
        failed=(rows["error"] != "").astype(float),
        missing=rows["error"] == MISSING,
        held_out=(rows[column] == value) & pairs.holds_out if column in pairs.slices else False,
    )


def _of_backend(
    key: tuple[str, str], base: pd.DataFrame, new: pd.DataFrame, metrics: Sequence[str]
) -> Iterator[Change]:
    """Yield a backend's scores, those of held-out rows separately, and its costs."""
    suite, backend = key
    held_out = base["held_out"].to_numpy()
    if held_out.all():  # then they are the headline, as in the report
        held_out = ~held_out
    for name, kept in ((suite, ~held_out), (f"{suite}, {'='.join(HELD_OUT_SLICE)}", held_out)):
        if kept.any():
            yield from _of_answers((name, backend), base[kept], new[kept], metrics)
    yield from _of_costs(key, base, new)


def _of_answers(
    key: tuple[str, str], base: pd.DataFrame, new: pd.DataFrame, metrics: Sequence[str]
) -> Iterator[Change]:
    contexts = base["sample_id"].to_numpy()
    for metric in metrics:
        sides = base[metric], new[metric]
        if definition(metric).better == "higher":
            sides = _wrong_if_unanswered(base, new, metric), _wrong_if_unanswered(new, base, metric)
        yield from _where_known(key, metric, *sides, contexts, is_headline=metric in metrics[:1])
    yield from _where_known(key, RECALL, base[RECALL], new[RECALL], contexts)
    yield from _where_known(key, ERRORS, base["failed"], new["failed"], contexts)


def _wrong_if_unanswered(own: pd.DataFrame, other: pd.DataFrame, metric: str) -> "pd.Series[float]":
    """Return a metric, 0 where a question has no answer and the other run has one."""
    return own[metric].mask((own["failed"] == 1) & other[metric].notna(), 0.0)


def _of_costs(key: tuple[str, str], base: pd.DataFrame, new: pd.DataFrame) -> Iterator[Change]:
    """Yield the costs of samples whose batches are whole in both runs."""
    whole = _whole(base) & _whole(new) & ~new["missing"]
    if not whole.all():
        kept = ~base["sample_id"].isin(base.loc[~whole, "sample_id"])
        base, new = base[kept], new[kept]
    if base.empty:
        return
    before, now = costs.of_samples(base), costs.of_samples(new)
    for metric in before.columns:
        yield from _where_known(key, metric, before[metric], now[metric])
    rates = [costs.decode_rates(rows[rows["generate_s"].notna()]) for rows in (base, new)]
    sizes = rates[0].index.intersection(rates[1].index)
    if len(sizes):
        yield from _where_known(key, RATE, rates[0].loc[sizes], rates[1].loc[sizes])


def _where_known(
    key: tuple[str, str],
    metric: str,
    before: "pd.Series[float]",
    now: "pd.Series[float]",
    contexts: stats.Ints | None = None,
    *,
    is_headline: bool = False,
) -> Iterator[Change]:
    """Yield the change of a figure that both runs have; each line of a cost is its own context."""
    sides = np.array([before, now], dtype=np.float64)  # (2, n)
    known = ~np.isnan(sides).any(axis=0)
    if known.any():
        first, second = sides[:, known]
        is_answer = contexts is not None
        numbers = np.arange(known.sum()) if contexts is None else contexts[known]
        bounded = is_answer and bool((sides[:, known] >= 0).all() and (sides[:, known] <= 1).all())
        yield Change(*key, metric, first, second, numbers, is_answer, bounded, is_headline)


def _whole(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Say for each row whether all questions of its batch are among the rows."""
    asked = rows.groupby(["sample_id", "batch_id"])["failed"].transform("size")
    return (asked == rows["batch_size"]) | rows["batch_size"].isna()


def _judge(rows: pd.DataFrame, metrics: Sequence[str]) -> str | None:
    """Return the metric that best says which answers are right."""
    filled = [name for name in metrics if rows[name].notna().any()]
    judging = [name for name in filled if definition(name).judges]
    rising = [n for n in filled if n not in all_metrics() or definition(n).better == "higher"]
    zero_one = [name for name in rising if stats.is_zero_one(rows[name].dropna().to_numpy())]
    return next(iter((*judging, *zero_one, *rising)), None)


def _flipped(
    suite: str, backend: str, metric: str, base: pd.DataFrame, new: pd.DataFrame
) -> FlippedAnswers:
    both = base[metric].notna() & new[metric].notna()
    base, new = base[both], new[both]
    was, now = base[metric] >= 1, new[metric] >= 1
    reworded = (base["answer"] != new["answer"]) & (base[metric] == new[metric])

    def answers(chosen: "pd.Series[bool]") -> tuple[FlippedAnswer, ...]:
        lines = zip(
            *(base.loc[chosen, name] for name in ("sample_id", "question_id", "targets", "answer")),
            new.loc[chosen, "answer"],
            strict=True,
        )
        return tuple(FlippedAnswer(backend, *line) for line in lines)

    lost, won = answers(was & ~now), answers(~was & now)
    return FlippedAnswers(suite, backend, metric, lost, won, int(reworded.sum()), len(base))
