"""How each way stands to full context: it gains, loses, is as good, or too little is known.

Each way is compared with full context, and each that uses the adapter with the adapted full context
too, which is fair to it: the adapter itself teaches how to answer. Holm's correction is over these
comparisons.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.report import significance, stats
from harness.report.contrasts import contrast_of
from harness.report.sections import CEILING, COMPARED, INVALID, Section, name_of
from harness.report.stats import LEVEL, MIN_CONTEXTS, Estimate
from harness.run.rows import Rows

ADAPTED = "adapter=on"  # the model itself, with the weights that gists were trained with
MARGIN = 0.05  # of the headline metric: a way that loses less is as good


class Standing(StrEnum):
    """How a way stands to a baseline."""

    BASELINE = "baseline"
    GAINS = "gains"
    LOSES = "loses"
    MAY_GAIN = "may gain"  # its interval excludes 0, but among so many comparisons one may
    MAY_LOSE = "may lose"
    AS_GOOD = "as good"  # the interval excludes a loss of `MARGIN`
    EQUAL = "equal so far"  # in every context, but these are few
    TOO_FEW = "too few to say"
    INVALID = "invalid"  # a validity check failed
    ALONE = "not comparable"  # there is no baseline, or it answers nothing


WITH_AMOUNT = frozenset({Standing.GAINS, Standing.LOSES, Standing.MAY_GAIN, Standing.MAY_LOSE})
UNSETTLED = frozenset({Standing.TOO_FEW, Standing.EQUAL, Standing.MAY_GAIN, Standing.MAY_LOSE})


@dataclass(frozen=True, slots=True)
class Comparison:
    """A way beside a baseline, over the questions that both answered."""

    other: str  # the baseline; empty: there is none
    standing: Standing
    difference: Estimate | None = None  # of the headline metric, way minus baseline
    needed: int | None = None  # contexts that would settle it, about; None: settled, or not known

    def __str__(self) -> str:
        """Return the verdict in a word: `as good`, `loses 0.35`, `too few to say`."""
        if self.difference is None or self.standing not in WITH_AMOUNT:
            return str(self.standing)
        return f"{self.standing} {abs(self.difference.mean):.2f}"


def not_compared(name: str, baseline: str) -> Comparison:
    """Return how a way stands that was not compared: the baseline itself, invalid, or alone."""
    if name.endswith(INVALID):
        return Comparison(baseline, Standing.INVALID)
    return Comparison(baseline, Standing.BASELINE if name == baseline else Standing.ALONE)


def without_praise(one: Comparison) -> Comparison:
    """Return a comparison with a baseline that does not read: only a difference says anything."""
    return one if one.standing in WITH_AMOUNT else Comparison(one.other, Standing.ALONE)


def _uses_adapter(rows: Rows, backend: str) -> bool:
    """Say whether a backend compresses with the adapter, as the checks of its run list it."""
    listed = (one.backends for run in rows.metadata for one in run.checked if one.of_adapter)
    return name_of(backend) == COMPARED or any(backend in names for names in listed)


def comparisons(
    rows: Rows, section: Section, usable: Sequence[str], baseline: str
) -> dict[str, list[Comparison]]:
    """Compare each way with full context, and those with the adapter with the adapted one too."""
    adapted = next((n for n in section.backends_named(CEILING) if n in usable and ADAPTED in n), "")
    contrasts: dict[tuple[str, str], significance.Contrast] = {}
    for way in usable:
        fair = adapted if way != adapted and _uses_adapter(rows, way) else ""
        for other in dict.fromkeys((baseline, fair)):
            if not other or other == way or way.endswith(INVALID):
                continue
            if (found := contrast_of(section, way, other)) is not None:
                contrasts[way, other] = found
    adjusted = significance.holm([one.p for one in contrasts.values()])
    compared: dict[str, list[Comparison]] = {way: [] for way in usable}
    for ((way, other), one), p in zip(contrasts.items(), adjusted, strict=True):
        compared[way].append(_compared(other, one, p))
    return compared


def _compared(other: str, found: significance.Contrast, p: float) -> Comparison:
    d = found.difference
    if d.excludes_zero:
        gains = d.mean > 0
        if p < 1 - LEVEL:
            return Comparison(other, Standing.GAINS if gains else Standing.LOSES, d)
        standing = Standing.MAY_GAIN if gains else Standing.MAY_LOSE
    elif d.is_above(-MARGIN):
        return Comparison(other, Standing.AS_GOOD, d)
    elif found.detectable is None and not d.mean and d.low is not None:
        standing = Standing.EQUAL
    else:
        standing = Standing.TOO_FEW
    return Comparison(other, standing, d, _needed(found))


def _needed(found: significance.Contrast) -> int | None:
    """Return about how many contexts show the difference seen, or that there is none of `MARGIN`.

    The detectable difference falls with the root of the number of contexts. Where all contexts are
    alike, so many that Wilson's bound on those that may differ is below the margin.
    """
    d = found.difference
    if found.detectable is None:
        return math.ceil(stats.Z**2 * (1 - MARGIN) / MARGIN) if d.contexts > 1 else None
    wanted = max(abs(d.mean), d.mean + MARGIN)  # to 0, or to the margin: the farther one
    needed = max(d.contexts * (found.detectable / wanted) ** 2, d.contexts + 1, MIN_CONTEXTS)
    step: int = 10 ** max(0, math.floor(math.log10(needed)) - 1)  # two figures: it is a forecast
    return math.ceil(needed / step) * step


def too_few(others: Sequence[Comparison], baseline: str) -> Iterator[str]:
    """Yield that the contexts are too few to tell any way from full context, and how many do."""
    open_ones = [one for one in others if one.standing in (Standing.TOO_FEW, Standing.EQUAL)]
    if not baseline or not others or len(open_ones) < len(others):
        return
    needed = max((one.needed for one in open_ones if one.needed), default=None)
    contexts = max(one.difference.contexts for one in open_ones if one.difference)
    many = "1 context is" if contexts == 1 else f"{contexts} contexts are"
    yield f"{many} too few to tell any way from {baseline}" + (
        f": about {needed:,} would settle it." if needed else "."
    )
