"""Charts of scores: by cached tokens, memory and time; of abstentions; and of retrieval."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from harness.report import contrasts, cost_tables
from harness.report import format as printing
from harness.report.estimates import estimates
from harness.report.format import Table
from harness.report.plots.shapes import Bar, Chart, Point, Points, Ranges, Stacks
from harness.report.sections import Section, is_usable
from harness.report.stats import Estimate

BUDGETS = ("ratio", "tokens", "budget_tokens")  # options that set the cached tokens
QUESTIONS = 10  # about one context, for the time per question
ABSTENTION = ("accuracy", "abstained", "hallucinated", "false_refusal")  # what the bars need


def over_budget(section: Section) -> Iterator[Chart]:
    """Yield the headline metric over the KV entries that stand for the context."""
    if not section.metrics:
        return
    main, column = section.metrics[0], "context_entries"
    rows = section.counted.having(main).having(column)
    entries = {
        backend: float(known.median())
        for backend in rows.backends
        if len(known := rows.of(backend)[[column]][column])
    }
    if len({kept for kept in entries.values() if kept > 0}) > 1:
        title, what = f"{main} by cached tokens", "cached tokens per context (median)"
        yield from _trade(section, "budget", title, what, entries, printing.count, front=False)


def trade_off(section: Section, ways: Sequence[str]) -> Chart | None:
    """Return the headline metric of usable ways over what they cost: memory, else time.

    None if the costs of fewer than two of them are known.
    """
    charts = (
        chart
        for chart in over_costs(section, ways)
        if isinstance(chart.drawing, Points) and len(chart.drawing.points) > 1
    )
    return next(charts, None)


def over_costs(section: Section, ways: Sequence[str] = ()) -> Iterator[Chart]:
    """Yield the headline metric of some ways, or of all, over memory held and over time."""
    if not section.metrics:
        return
    groups = cost_tables.group_costs(section.of_own_contexts)
    found = {key[0]: of for key, of in groups.items() if not ways or key[0] in ways}
    main = section.metrics[0]
    held = {backend: figures.held_bytes for backend, figures in found.items()}
    times = {backend: figures.per_question_s(QUESTIONS) for backend, figures in found.items()}
    what = "memory held per context (median)"
    yield from _trade(section, "memory", f"{main} by {what}", what, held, printing.size)
    what = f"time per question at {QUESTIONS} questions"
    yield from _trade(section, "seconds", f"{main} by {what}", what, times, printing.seconds)


def abstentions(section: Section) -> Iterator[Chart]:
    """Yield the fractions right, wrong and abstained, of questions with and without an answer."""
    if not set(ABSTENTION) <= set(section.metrics):
        return
    answerable, absent = (section.counted.having(name) for name in ("false_refusal", "abstained"))
    names = ("right", "wrong", "abstained")
    yield _shares(
        "answerable",
        "Questions that the context answers",
        names,
        section.backends,
        (estimates(answerable, "accuracy"), None, estimates(answerable, "false_refusal")),
    )
    yield _shares(
        "unanswerable",
        "Questions that the context does not answer",
        ("right: abstained", "wrong: made up an answer"),
        section.backends,
        (estimates(absent, "abstained"), estimates(absent, "hallucinated")),
    )


def retrieval(section: Section) -> Iterator[Chart]:
    """Yield what backends that show passages retrieved, and their scores with and without it."""
    if not section.metrics:
        return
    for table in contrasts.retrieval_tables(section):
        columns = contrasts.retrieval_scores(section)
        points = {
            backend: tuple(
                _point(backend, 0, of[backend], name) if backend in of else None
                for name, of in columns.items()
            )
            for backend, *_ in table.rows
        }
        yield Chart(
            "retrieval",
            "Evidence recall, and scores by it",
            "Fraction of the supporting sentences among the passages shown, and the scores where "
            "all of them were (a hit) and where not (a miss), with 95 % intervals.",
            Ranges("fraction", tuple(columns), points),
            table,
        )


def _trade(
    section: Section,
    name: str,
    title: str,
    what: str,
    values: Mapping[str, float],
    show: Callable[[float], str],
    *,
    front: bool = True,
) -> Iterator[Chart]:
    """Yield the headline metric over what backends cost, if the cost of one that has it is known.

    It shows the Pareto front, or where there is none, as lines, the backends that keep nothing.
    """
    main = section.metrics[0]
    found = estimates(section.counted, main)
    placed = {
        backend: values[backend]
        for backend in section.backends
        if backend in found and values.get(backend, 0) > 0
    }
    if not placed:
        return
    usable = {backend: x for backend, x in placed.items() if is_usable(backend)}
    best = pareto_front({backend: (x, found[backend].mean) for backend, x in usable.items()})
    points = tuple(
        _point(backend, x, found[backend], f"{show(x)}, {main}", marked=front and backend in best)
        for backend, x in placed.items()
    )
    floors = tuple(
        _point(backend, math.nan, found[backend], f"nothing kept, {main}")
        for backend in section.backends
        if not front and backend in found and values.get(backend) == 0
    )
    header = ["backend", what, main, "n"] + (["on the front"] if front else [])
    rows = tuple(
        (
            backend,
            show(values.get(backend, math.nan)),
            printing.interval(found[backend]),
            printing.count(found[backend].n),
            *(["yes" if backend in best else "no"] if front else []),
        )
        for backend in section.backends
        if backend in found
    )
    families = dict(_families(section, list(placed)))
    description = (
        "Points are means with 95 % intervals. "
        + ("Joined by a line: one backend at several budgets. " * bool(families))
        + ("Horizontal lines: backends that keep nothing. " * (not front))
        + ("Dashed: the Pareto front of usable backends, by the means. " * front)
    )
    drawing = Points(what, main, points, show, families, floors)
    yield Chart(name, title, description.strip(), drawing, Table(title, tuple(header), rows))


def pareto_front(places: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Return the names that no other beats: as cheap and as good, and better in one of the two.

    Args:
        places: (cost, quality) of each name; lower cost and higher quality are better.
    """
    return tuple(
        name
        for name, (cost, quality) in places.items()
        if not any(
            other_cost <= cost and other >= quality and (other_cost, other) != (cost, quality)
            for other_cost, other in places.values()
        )
    )


def _families(section: Section, backends: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the configurations that differ in their budgets only, by what they share."""

    def family(backend: str) -> str:
        name, _, options = backend.partition(",")
        kept = [one for one in options.split(",") if one.partition("=")[0] not in BUDGETS]
        budget = section.budgets.get(backend)
        return ",".join(filter(None, [name, *kept])) if budget is None else budget.family

    for name, members in groupby(sorted(backends, key=family), key=family):
        of_family = tuple(members)
        if len(of_family) > 1:
            yield name, of_family


def _shares(
    name: str,
    title: str,
    names: tuple[str, ...],
    backends: Sequence[str],
    columns: Sequence[Mapping[str, Estimate] | None],
) -> Chart:
    """Return bars of fractions that add up to 1; the column that is None is the rest."""
    bars: list[Bar] = []
    rows: list[tuple[str, ...]] = []
    for backend in backends:
        found = [column.get(backend) if column else None for column in columns]
        known = [one for one in found if one]
        if not known:
            continue
        rest = 1 - sum(one.mean for one in known)
        parts = tuple(one.mean if one else rest for one in found)
        shown = [printing.interval(one) if one else f"{rest:.2f}" for one in found]
        n = known[0].n
        tips = (f"{backend}: {part} {text}, n={n}" for part, text in zip(names, shown, strict=True))
        bars.append(Bar(backend, parts, tuple(tips)))
        rows.append((backend, *shown, printing.count(n)))
    return Chart(
        name,
        title,
        "Fractions of the questions; the table has the 95 % intervals.",
        Stacks("fraction of the questions", names, tuple(bars), printing.share, is_whole=True),
        Table(title, ("backend", *names, "n"), tuple(rows)),
    )


def _point(backend: str, x: float, one: Estimate, what: str, *, marked: bool = False) -> Point:
    tip = f"{backend}: {what} {printing.interval(one)}, n={one.n}"
    return Point(backend, x, one.mean, one.low, one.high, tip, marked)
