"""Charts of time and memory: where they go, and from how many questions on an arm pays."""

import math
from collections.abc import Callable, Iterator, Mapping

import pandas as pd

from harness import breakeven, costs, printing
from harness.costs import Costs
from harness.plots.shapes import Bar, Chart, Line, Lines, Stacks
from harness.printing import Table
from harness.tables import Section

QUESTIONS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
Groups = Mapping[tuple[str, ...], Costs]


def times(section: Section) -> Iterator[Chart]:
    """Yield where the time of one question goes."""
    groups, at = _at_largest(section)
    with_first = all(figures.first_s > 0 for figures in groups.values())
    names = ("prepare", "first token", "decode") if with_first else ("prepare", "answer")
    parts = {
        key: (
            (c.prepare_s, c.first_s, c.question_s - c.first_s)
            if with_first
            else (c.prepare_s, c.question_s)
        )
        for key, c in groups.items()
    }
    if any(not math.isnan(part) for of_arm in parts.values() for part in of_arm):
        told = (
            "Time of a context that is read and asked once. Medians over contexts; the answer is "
            "the mean over questions, asked in batches."
        )
        yield _stacked("time", f"Time{at}", told, names, parts, printing.seconds)


def memory(section: Section) -> Iterator[Chart]:
    """Yield what the memory at the peak is made of."""
    groups, at = _at_largest(section)
    parts = {key: _memory_parts(figures) for key, figures in groups.items()}
    if any(not math.isnan(of_arm[-1]) for of_arm in parts.values()):
        kinds = ", ".join(kind for kind in section.frame["memory_kind"].unique() if kind)
        told = (
            f"The highest peak ({kinds or 'kind not known'}), and what of it was in use before "
            "(weights; on a CPU the whole process), is held for the contexts, or comes and goes "
            "(activations, workspace)."
        )
        names = ("before: weights, process", "held: cache or index", "rest: activations")
        yield _stacked("peak-memory", f"Peak memory{at}", told, names, parts, printing.size)


def break_even(section: Section) -> Iterator[Chart]:
    """Yield the time of a context over the number of questions asked about it."""
    found = list(breakeven.break_evens(section))
    compared = {arm for one in found for arm in (one.arm, one.other)}
    groups, at = _at_largest(section)
    lines = tuple(
        Line(arm, QUESTIONS, tuple(c.prepare_s + n * c.question_s for n in QUESTIONS))
        for (arm, *_), c in groups.items()
        if arm in compared and c.prepare_s + c.question_s > 0
    )
    if len(lines) > 1:
        names, _ = costs.cost_groups(section.of_own_contexts)
        table = breakeven.break_even_table(found, names)
        yield Chart(
            "break-even",
            f"Time of a context over its questions{at}",
            "Reading included. Where two lines cross, the flatter one begins to pay; the table "
            "has the crossings with 95 % intervals.",
            Lines("questions about one context", "time in all", lines, printing.seconds),
            table,
        )


def _memory_parts(figures: Costs) -> tuple[float, float, float]:
    """Return bytes in use before, held, and the rest of the peak."""
    before, held = figures.baseline_bytes, figures.held_bytes
    return before, held, max(0.0, figures.peak_bytes - before - held)


def _at_largest(section: Section) -> tuple[Groups, str]:
    """Return the costs of each arm, at the largest size of a sweep that most arms reached."""
    names, groups = costs.cost_groups(section.of_own_contexts)
    read: dict[tuple[str, ...], dict[tuple[str, ...], pd.DataFrame]] = {}
    for key, rows in groups.items():
        if rows["prepare_s"].notna().any():
            read.setdefault(key[1:], {})[key] = rows
    if not read:
        return {}, ""
    most = max(len(of_size) for of_size in read.values())
    size = [size for size, of_size in read.items() if len(of_size) == most][-1]
    at = ", ".join(f"{name} {value}" for name, value in zip(names, size, strict=True))
    shown = {key: costs.measured(rows) for key, rows in read[size].items()}
    return shown, f" at {at}, the largest that most backends read" if at else ""


def _stacked(
    name: str,
    title: str,
    told: str,
    names: tuple[str, ...],
    parts: Mapping[tuple[str, ...], tuple[float, ...]],
    show: Callable[[float], str],
) -> Chart:
    """Return bars of the parts of each arm, shortest parts and all."""
    bars, rows = [], []
    for (arm, *_), of_arm in parts.items():
        shown = [show(part) for part in of_arm]
        tips = (f"{arm}: {part} {text}" for part, text in zip(names, shown, strict=True))
        bars.append(Bar(arm, of_arm, tuple(tips)))
        rows.append((arm, *shown, show(sum(of_arm))))
    drawing = Stacks(title.partition(" at ")[0].lower(), names, tuple(bars), show)
    return Chart(name, title, told, drawing, Table(title, ("backend", *names, "sum"), tuple(rows)))
