"""The headline metric: the one that a suite's backends are compared by, the same for all of them.

It is the first metric of the suite. Where that one compares whole answers and the model answers in
sentences, it is `contains`; `--headline` names another. Rows hold every metric, so that a report
may choose again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.errors import UserError, did_you_mean
from harness.run import plugins
from harness.run.metadata import RunMetadata

OF_SENTENCES = "contains"


@dataclass(frozen=True, slots=True)
class Headline:
    """The metrics of a suite in some runs, and why the first of them is the headline."""

    metrics: tuple[str, ...]  # the headline first; none: the suite shows costs
    note: str = ""  # where the headline is not the suite's own


def headline_of(metrics: Sequence[str], *, in_sentences: bool) -> str:
    """Return the headline of a suite with these metrics, at least one, for a kind of model."""
    whole = {metric.name for metric in plugins.metrics() if metric.compares_whole}
    talks = in_sentences and metrics[0] in whole and OF_SENTENCES in metrics
    return OF_SENTENCES if talks else metrics[0]


def declared(
    suite: str, filled: Sequence[str], runs: Sequence[RunMetadata], wanted: str = ""
) -> Headline:
    """Return the headline of a suite in runs that are shown together.

    Args:
        suite: its spec.
        filled: the metrics that its rows have.
        runs: what is known of the runs. Old ones do not say how their model answers.
        wanted: what the reader wants; where the suite does not have it, what the runs declare.
    """
    metrics = tuple(_in_order(suite, filled, runs))
    if not metrics:
        return Headline(())
    named = [name for name in (wanted, *(run.headline for run in runs)) if name in metrics]
    if named:
        main, why = named[0], "as --headline says"
    else:
        in_sentences = all(run.answers_in_sentences for run in runs)
        main = headline_of(metrics, in_sentences=in_sentences)
        if main == metrics[0]:
            return Headline(metrics)
        why = f"since {', '.join(dict.fromkeys(run.model for run in runs))} answers in sentences"
    others = (name for name in metrics if name != main)
    return Headline((main, *others), f"Headline: {main}, {why}.")


def refuse_unknown(wanted: str, metrics: Iterable[str]) -> None:
    """Refuse a headline that no suite has among its scores."""
    known = sorted({*metrics})
    if wanted and wanted not in known:
        raise UserError(
            f"--headline {wanted!r}: no suite has such a score. {did_you_mean(wanted, known)}"
            f"Scores: {', '.join(known) or 'none'}."
        )


def _in_order(suite: str, filled: Sequence[str], runs: Sequence[RunMetadata]) -> Iterator[str]:
    """Yield metrics in the suite's order; a CSV has them by the alphabet.

    Old runs do not say it: then it is that of the installed suite, whatever its data.
    """
    stated = (run.metrics[suite] for run in runs if suite in run.metrics)
    order = next(stated, None) or plugins.metrics_of(suite.partition(",")[0])
    yield from (metric for metric in order if metric in filled)
    yield from (metric for metric in filled if metric not in order)
