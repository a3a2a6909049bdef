"""The verdict of a comparison: can it say anything, what each way is worth, and which to choose.

A way is a backend that a person could use: floors and controls are none. The whole context with
the adapter on is one: whoever has an adapter can use it so, and it is the fair baseline for gists,
as the adapter itself teaches how to answer. These are values, which verdict_page.py and the HTML
page show.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.report import cost_tables
from harness.report.checks_table import FAILED, check_tables
from harness.report.choices import ASKED, QUALITY, Advice, Way, choices
from harness.report.contrasts import contrast_of
from harness.report.costs import too_busy
from harness.report.estimates import estimates
from harness.report.sections import CEILING, FLOOR, Section, is_usable, name_of, scored
from harness.report.standing import (
    Standing,
    comparisons,
    not_compared,
    too_few,
    without_praise,
)
from harness.report.stats import MIN_CONTEXTS, Estimate
from harness.report.tables import errors_by_backend
from harness.run.rows import Rows

UNREADABLE = 0.1  # below this mean of the headline metric, the model does not read the documents
ENOUGH = 4  # questions: fewer that go wrong say nothing of a model
INVENTED = "hallucinated"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison of one suite under one setup says."""

    suite: str
    setup: str  # model and settings
    metric: str  # of the quality
    questions: int
    contexts: int
    baseline: str  # full context; empty: it did not run, or answered nothing
    obstacles: tuple[str, ...]  # why the comparison says little or nothing, the gravest first
    ways: tuple[Way, ...]
    choices: tuple[Advice, ...]  # none: the figures are no ground to choose
    timed: bool  # on a machine that did nothing else: times are a ground

    @property
    def is_read(self) -> bool:
        """Whether the model answers from the whole context, or too little was asked to say."""
        whole = [way.quality.mean for way in self.ways if name_of(way.backend) == CEILING]
        return self.questions < ENOUGH or max(whole, default=0.0) >= UNREADABLE

    def way(self, backend: str) -> Way | None:
        """Return the way of a backend."""
        return next((way for way in self.ways if way.backend == backend), None)


def verdicts(rows: Rows, sections: Sequence[Section]) -> list[Verdict]:
    """Return a verdict for each section that has scores, in their order."""
    return [verdict(rows, section, beside=sections) for section in scored(sections)]


def verdict(rows: Rows, section: Section, *, beside: Sequence[Section] = ()) -> Verdict:
    """Return what a section says; those `beside` may know what was invented about its documents."""
    metric = section.metrics[0]
    scores = estimates(section.counted, metric)
    usable = [name for name in section.backends if is_usable(name) and name in scores]
    baseline = next((name for name in section.backends_named(CEILING) if name in usable), "")
    unreadable = list(_unreadable(section, scores))
    found = comparisons(rows, section, usable, baseline)
    if unreadable:  # to be as good as what reads nothing is no praise, and more contexts no help
        found = {name: list(map(without_praise, of_way)) for name, of_way in found.items()}
    invented = _invented(section, beside)
    costs_of = {name: cost_tables.of_backend(section, name) for name in usable}
    busy = too_busy(costs_of)
    ways: list[Way] = []
    for name, costs in costs_of.items():
        against = {one.other == baseline: one for one in found[name]}
        ways.append(
            Way(
                name,
                scores[name],
                invented.get(name),
                costs.held_bytes,
                {asked: costs.per_question_s(asked) for asked in ASKED},
                against=against.get(True) or not_compared(name, baseline),
                against_adapted=against.get(False),
            )
        )
    largest = max((scores[name] for name in usable), key=lambda score: score.n, default=None)
    unproven = _unproven(rows, section)
    floors = {name: scores[name].mean for name in section.backends_named(FLOOR) if name in scores}
    floor, answered = max(floors.items(), key=lambda named: named[1], default=("", 0.0))
    few = largest is not None and largest.contexts < MIN_CONTEXTS  # quality is no ground then
    low = [way.backend for way in ways if way.quality.mean <= answered and not few]
    weak = [way.backend for way in ways if way.backend not in low and _loses_half(way, scores)]
    advice: list[Advice] = []
    if not unreadable and len(ways) > 1:
        failed = {way.backend for way in ways if way.against.standing is Standing.INVALID}
        left_out = {*low, *weak, *unproven, *failed}
        candidates = [way for way in ways if way.backend not in left_out]
        found_best = choices(candidates, baseline, timed=not busy)
        advice = [one for one in found_best if one.goal != QUALITY or not few]
    return Verdict(
        suite=section.name,
        setup=section.setup,
        metric=metric,
        questions=largest.n if largest else 0,
        contexts=largest.contexts if largest else 0,
        baseline=baseline,
        obstacles=(
            *(unreadable or _limits(ways, baseline)),
            *unproven.values(),
            *([busy] if busy else []),
            *([] if unreadable else _no_choice(low, weak, (floor, answered), baseline)),
            *([] if unreadable or few else _unsure(section, ways, low, list(floors))),
        ),
        ways=tuple(ways),
        choices=tuple(advice),
        timed=not busy,
    )


def _invented(section: Section, beside: Sequence[Section]) -> dict[str, Estimate]:
    """Return the share of invented answers, from this section or one about the same samples."""
    for one in (section, *beside):
        if INVENTED not in one.metrics or one.setup != section.setup:
            continue
        if one is section or not _samples(section).isdisjoint(_samples(one)):
            return estimates(one.counted, INVENTED)
    return {}


def _samples(section: Section) -> set[str]:
    return set(section.rows[["sample_id"]]["sample_id"].unique())


def _unreadable(section: Section, scores: Mapping[str, Estimate]) -> Iterator[str]:
    """Yield why the model cannot be said to read these documents at all."""
    named = section.backends_named(CEILING)
    readers = [name for name in named if is_usable(name) and name in scores]
    if not readers:
        errors = errors_by_backend(section.rows)
        failed = next((f"{name}: {errors[name]}" for name in named if name in errors), "")
        why = f"answered nothing ({failed})" if failed else "was not run"
        yield f"{CEILING} context {why}: there is nothing to compare with."
        return
    best = max(readers, key=lambda name: scores[name].mean)
    metric, score = section.metrics[0], scores[best]
    if score.mean < UNREADABLE:
        right = int((section.counted.of(best)[[metric]][metric] >= 0.5).sum())
        yield f"{CEILING} context answered {right} of {score.n}: " + (
            "this model cannot read these documents. Try another model."
            if score.n >= ENOUGH
            else "these are too few questions to say that this model reads the documents."
        )
        return
    floor = next((name for name in section.backends_named(FLOOR) if name in scores), "")
    if not floor or score.contexts < MIN_CONTEXTS:
        return
    found = contrast_of(section, best, floor)
    if found is not None and not found.difference.is_above(0):
        yield (
            f"{best} ({found.first:.2f}) is not shown to answer better than {floor} "
            f"({found.second:.2f}), which reads nothing: these questions do not show who read the "
            "documents."
        )


def _limits(ways: Sequence[Way], baseline: str) -> Iterator[str]:
    """Yield why the ways cannot be told from full context, if none of them can."""
    if len(ways) == 1:
        yield f"{ways[0].backend} is the only way that answered: there is nothing to choose from."
    yield from too_few([way.against for way in ways if way.backend != baseline], baseline)


def _loses_half(way: Way, scores: Mapping[str, Estimate]) -> bool:
    """Whether a way is shown to lose, and answers less than half of what full context does."""
    lost = way.against.standing is Standing.LOSES
    return lost and way.quality.mean < scores[way.against.other].mean / 2


def _no_choice(
    low: Sequence[str], weak: Sequence[str], reads_nothing: tuple[str, float], baseline: str
) -> Iterator[str]:
    """Yield which ways are no choice however cheap they are, and what answers better."""
    floor, answered = reads_nothing
    if low and floor:
        yield (
            f"Not to be chosen, as {floor}, which reads nothing, answers at least as well "
            f"({answered:.2f}): {'; '.join(low)}."
        )
    if weak:
        yield (
            f"Not to be chosen, as {baseline} answers more than twice as many questions: "
            f"{'; '.join(weak)}."
        )


def _unsure(
    section: Section, ways: Sequence[Way], low: Sequence[str], floors: Sequence[str]
) -> Iterator[str]:
    """Yield which ways may answer without the context: those not shown to be above the floor."""
    floor = next(iter(floors), "")  # the one without options, of the model itself
    others = [way.backend for way in ways if floor and way.backend not in low]
    found = {name: contrast_of(section, name, floor) for name in others}
    names = [name for name, one in found.items() if one and not one.difference.is_above(0)]
    if names:
        yield (
            f"Answers may not come from the documents: {'; '.join(names)}. {floor}, which reads "
            "nothing, is not shown to answer worse."
        )


def _unproven(rows: Rows, section: Section) -> dict[str, str]:
    """Return the ways with a failed validity check, and which failed."""
    failed: dict[str, list[str]] = {}
    for table in check_tables(rows, [section]):
        for backend, check, measured, _, outcome in table.rows:
            if outcome in FAILED:
                failed.setdefault(backend, []).append(f"{check.partition(': ')[0]} ({measured})")
    return {
        backend: f"{backend} failed a validity check: {', '.join(checks)}."
        for backend, checks in failed.items()
    }
