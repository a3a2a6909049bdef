"""Charts of time and memory: what they are made of, and the break-even questions."""

import math
from collections.abc import Callable, Iterator, Mapping

from harness.report import breakeven, cost_tables
from harness.report import format as printing
from harness.report.costs import Costs
from harness.report.format import Table
from harness.report.plots.shapes import Bar, Chart, Line, Lines, Stacks
from harness.report.sections import Section

QUESTIONS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
Groups = Mapping[tuple[str, ...], Costs]


def times(section: Section) -> Iterator[Chart]:
    """Yield the parts of the time of one question."""
    groups, at = _at_largest(section)
    with_first = all(figures.first_s > 0 for figures in groups.values())
    names = ("prepare", "first token", "decode") if with_first else ("prepare", "answer")
    parts = {
        key: (
            c.prepare_s,
            *((c.first_s, c.question_s - c.first_s) if with_first else (c.question_s,)),
        )
        for key, c in groups.items()
    }
    if any(not math.isnan(part) for of_backend in parts.values() for part in of_backend):
        description = (
            "Time of one question about a context, including reading it. Medians over contexts; "
            "the answer is the mean over questions, which were asked in batches."
        )
        yield _stacked("time", f"Time{at}", description, names, parts, printing.seconds)


def memory(section: Section) -> Iterator[Chart]:
    """Yield what each backend adds to the memory that was in use before it read the context."""
    groups, at = _at_largest(section)
    parts = {key: _memory_parts(figures) for key, figures in groups.items()}
    if any(not math.isnan(of_backend[-1]) for of_backend in parts.values()):
        kinds = ", ".join(cost_tables.memory_kinds(section.rows))
        description = (
            f"How far the peak ({kinds or 'kind not known'}) is above what was in use before the "
            "context was read: what is held for the contexts, and what is temporary (activations, "
            "workspace). The table has the whole peak, weights and, on a CPU, the process included."
        )
        names = ("before: weights, process", "held: cache or index", "growth: activations")
        title = f"Memory above the start{at}"
        yield _stacked("peak-memory", title, description, names, parts, printing.size, drawn=1)


def break_even(section: Section) -> Iterator[Chart]:
    """Yield the time of a context over the number of questions about it."""
    found = list(breakeven.break_evens(section))
    compared = {backend for one in found for backend in (one.backend, one.other)}
    groups, at = _at_largest(section)
    lines = tuple(
        Line(backend, QUESTIONS, tuple(c.prepare_s + n * c.question_s for n in QUESTIONS))
        for (backend, *_), c in groups.items()
        if backend in compared and c.prepare_s + c.question_s > 0
    )
    if len(lines) > 1:
        names, _ = cost_tables.cost_groups(section.of_own_contexts)
        table = breakeven.break_even_table(found, names)
        yield Chart(
            "break-even",
            f"Time by number of questions{at}",
            "Times include reading the context. The break-even is where two lines cross; the table "
            "has it with 95 % intervals.",
            Lines("questions about one context", "total time", lines, printing.seconds),
            table,
        )


def _memory_parts(figures: Costs) -> tuple[float, float, float]:
    """Return bytes in use before, held, and the rest of the peak."""
    before, held = figures.baseline_bytes, figures.held_bytes
    return before, held, max(0.0, figures.peak_bytes - before - held)


def _at_largest(section: Section) -> tuple[Groups, str]:
    """Return each backend's costs, at the largest size of a sweep that most backends read."""
    names, groups = cost_tables.cost_groups(section.of_own_contexts)
    found = cost_tables.group_costs(section.of_own_contexts)
    read: dict[tuple[str, ...], dict[tuple[str, ...], Costs]] = {}
    for key, rows in groups.items():
        if rows.has("prepare_s"):
            read.setdefault(key[1:], {})[key] = found[key]
    if not read:
        return {}, ""
    backends = max(len(of_size) for of_size in read.values())
    size = [size for size, of_size in read.items() if len(of_size) == backends][-1]
    at = ", ".join(f"{name} {value}" for name, value in zip(names, size, strict=True))
    return read[size], f" at {at}, the largest that most backends read" if at else ""


def _stacked(
    name: str,
    title: str,
    description: str,
    names: tuple[str, ...],
    parts: Mapping[tuple[str, ...], tuple[float, ...]],
    show: Callable[[float], str],
    *,
    drawn: int = 0,
) -> Chart:
    """Return a bar for each backend; parts before number `drawn` are in the table alone."""
    bars, rows = [], []
    for (backend, *_), of_backend in parts.items():
        shown = [show(part) for part in of_backend]
        tips = [f"{backend}: {part} {text}" for part, text in zip(names, shown, strict=True)]
        bars.append(Bar(backend, of_backend[drawn:], tuple(tips[drawn:])))
        rows.append((backend, *shown, show(sum(of_backend))))
    drawing = Stacks(title.partition(" at ")[0].lower(), names[drawn:], tuple(bars), show)
    return Chart(
        name, title, description, drawing, Table(title, ("backend", *names, "sum"), tuple(rows))
    )
