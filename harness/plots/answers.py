"""Charts of answers: over what is kept, over what they cost, abstentions, and retrieval."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from harness import costs, printing
from harness.plots.shapes import Bar, Chart, Point, Points, Ranges, Stacks
from harness.printing import Table
from harness.stats import Estimate
from harness.tables import Section, estimates

BUDGETS = ("ratio", "tokens", "budget_tokens")  # options that say how much is kept
ASKED = 10  # questions per context, for the time per question
ABSTENTION = ("accuracy", "abstained", "hallucinated", "false_refusal")  # what the bars need


def over_budget(section: Section) -> Iterator[Chart]:
    """Yield the headline metric over the entries that stand for the context."""
    entries = _medians(section, "context_entries")
    if len({kept for kept in entries.values() if kept > 0}) < 2:
        return
    yield _trade(
        section,
        "budget",
        f"{section.metrics[0]} over context entries kept",
        "context entries kept (median)",
        entries,
        printing.count,
        floored=True,
    )


def over_costs(section: Section) -> Iterator[Chart]:
    """Yield the headline metric over memory held and over time, with the Pareto fronts."""
    if not section.metrics:
        return
    _, groups = costs.cost_groups(section.of_own_contexts)
    found = {key[0]: costs.measured(rows) for key, rows in groups.items()}
    main = section.metrics[0]
    held = {arm: figures.held_bytes for arm, figures in found.items()}
    asked = {arm: figures.asked_s(ASKED) for arm, figures in found.items()}
    scored = estimates(section.counted, main)
    for name, what, values, show in (
        ("memory", "memory held per context (median)", held, printing.size),
        ("seconds", f"time per question, context asked {ASKED}x", asked, printing.seconds),
    ):
        if any(values.get(arm, 0) > 0 for arm in scored):
            yield _trade(section, name, f"{main} over {what}", what, values, show, front=True)


def abstentions(section: Section) -> Iterator[Chart]:
    """Yield right, wrong and abstained shares for questions with and without an answer."""
    if not set(ABSTENTION) <= set(section.metrics):
        return
    frame = section.counted
    answerable, absent = (frame[frame[name].notna()] for name in ("false_refusal", "abstained"))
    names = ("right", "wrong", "abstained")
    yield _shares(
        "answerable",
        "Questions that the context answers",
        names,
        section.arms,
        (estimates(answerable, "accuracy"), None, estimates(answerable, "false_refusal")),
    )
    yield _shares(
        "unanswerable",
        "Questions that the context does not answer",
        ("right: abstained", "wrong: made up an answer"),
        section.arms,
        (estimates(absent, "abstained"), estimates(absent, "hallucinated")),
    )


def retrieval(section: Section) -> Iterator[Chart]:
    """Yield what retrieving arms found, and what they scored with it and without."""
    if not section.metrics or not section.frame["evidence_recall"].notna().any():
        return
    main, frame = section.metrics[0], section.counted
    columns = {
        "evidence recall": estimates(frame, "evidence_recall"),
        f"{main} given a hit": estimates(frame[frame["evidence_recall"] == 1], main),
        f"{main} given a miss": estimates(frame[frame["evidence_recall"] < 1], main),
    }
    arms = [arm for arm in section.arms if arm in columns["evidence recall"]]
    points = tuple(
        (arm, tuple(_point(arm, 0, found.get(arm), name) for name, found in columns.items()))
        for arm in arms
    )
    rows = tuple((arm, *(with_own_n(found.get(arm)) for found in columns.values())) for arm in arms)
    if rows:
        yield Chart(
            "retrieval",
            "What was retrieved, and what was answered then",
            "Share of proving sentences among the passages shown, and the answers where all of "
            "them were (a hit) and where not (a miss), with 95 % intervals.",
            Ranges("share", tuple(columns), points),
            Table("Retrieval", ("backend", *columns), rows),
        )


def _trade(
    section: Section,
    name: str,
    title: str,
    what: str,
    values: Mapping[str, float],
    show: Callable[[float], str],
    *,
    floored: bool = False,
    front: bool = False,
) -> Chart:
    """Return the headline metric over what each arm costs."""
    main = section.metrics[0]
    found = estimates(section.counted, main)
    placed = {arm: values[arm] for arm in section.arms if arm in found and values.get(arm, 0) > 0}
    best = pareto_front({arm: (x, found[arm].mean) for arm, x in placed.items()}) if front else ()
    points = tuple(
        _point(arm, x, found[arm], f"{show(x)}, {main}", marked=arm in best)
        for arm, x in placed.items()
    )
    floors = tuple(
        _point(arm, math.nan, found[arm], f"nothing kept, {main}")
        for arm in section.arms
        if floored and arm in found and values.get(arm) == 0
    )
    header = ["backend", what, main, "n"] + (["on the front"] if front else [])
    rows = tuple(
        (
            arm,
            show(values.get(arm, math.nan)),
            printing.interval(found[arm]),
            printing.count(found[arm].n),
            *(["yes" if arm in best else "no"] if front else []),
        )
        for arm in section.arms
        if arm in found
    )
    present = [point for point in points if point is not None]
    families = dict(_families(section, [point.label for point in present]))
    told = (
        "Points are means with 95 % intervals. "
        + ("Joined: one backend at several budgets. " * bool(families))
        + ("Across: arms that keep nothing. " * bool(floored))
        + ("Circled: no other arm is as cheap and as good (Pareto front, by the means). " * front)
    )
    crossing = tuple(point for point in floors if point is not None)
    drawing = Points(what, main, tuple(present), show, families, crossing)
    return Chart(name, title, told.strip(), drawing, Table(title, tuple(header), rows))


def pareto_front(places: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Return the names to which no other is preferable: as cheap and as good, and one of it more.

    Args:
        places: (cost, quality) of each name; less of the one and more of the other is better.
    """
    return tuple(
        name
        for name, (cost, quality) in places.items()
        if not any(
            other_cost <= cost and other >= quality and (other_cost, other) != (cost, quality)
            for other_cost, other in places.values()
        )
    )


def _families(section: Section, arms: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield a backend and its arms at several budgets, those of other settings apart."""

    def family(arm: str) -> str:
        name, _, options = arm.partition(",")
        kept = [one for one in options.split(",") if one.partition("=")[0] not in BUDGETS]
        budget = section.budgets.get(arm)
        return ",".join(filter(None, [name, *kept])) if budget is None else budget.family

    for name, members in groupby(sorted(arms, key=family), key=family):
        of_family = tuple(members)
        if len(of_family) > 1:
            yield name, of_family


def _shares(
    name: str,
    title: str,
    names: tuple[str, ...],
    arms: Sequence[str],
    columns: Sequence[Mapping[str, Estimate] | None],
) -> Chart:
    """Return bars of shares that add up to 1; the column that is None is what is left."""
    bars: list[Bar] = []
    rows: list[tuple[str, ...]] = []
    for arm in arms:
        found = [column.get(arm) if column is not None else None for column in columns]
        known = [one.mean for one in found if one is not None]
        if not known:
            continue
        parts = tuple(one.mean if one is not None else 1 - sum(known) for one in found)
        n = next(one.n for one in found if one is not None)
        shown = [
            printing.interval(one) if one is not None else f"{part:.2f}"
            for one, part in zip(found, parts, strict=True)
        ]
        tips = (f"{arm}: {part} {text}, n={n}" for part, text in zip(names, shown, strict=True))
        bars.append(Bar(arm, parts, tuple(tips)))
        rows.append((arm, *shown, printing.count(n)))
    return Chart(
        name,
        title,
        "Shares of the questions; the table has the 95 % intervals.",
        Stacks(
            "share of the questions", names, tuple(bars), lambda part: f"{part:.2f}", shares=True
        ),
        Table(title, ("backend", *names, "n"), tuple(rows)),
    )


def _point(
    arm: str, x: float, one: Estimate | None, what: str, *, marked: bool = False
) -> Point | None:
    if one is None:
        return None
    tip = f"{arm}: {what} {printing.interval(one)}, n={one.n}"
    return Point(arm, x, one.mean, one.low, one.high, tip, marked)


def with_own_n(one: Estimate | None, *, signed: bool = False) -> str:
    """Return an interval and its n."""
    if one is None:
        return printing.UNKNOWN
    return f"{printing.interval(one, signed=signed)} n={one.n:,}"


def _medians(section: Section, column: str) -> dict[str, float]:
    """Return the median of a column over the rows that have the headline metric, for each arm."""
    if not section.metrics:
        return {}
    scored = section.counted[section.counted[section.metrics[0]].notna()]
    known = scored[["backend", column]].dropna()
    return {str(arm): float(v) for arm, v in known.groupby("backend")[column].median().items()}
