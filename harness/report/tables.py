"""The tables of answers: what each backend scores, and where.

Questions that a backend could not answer (`error`) are counted, never scored as 0; empty cells are
left out. The functions return tables of text; format.py draws them, contrasts.py compares backends
with each other, costs.py shows time and memory.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from statistics import mode

import numpy as np

from harness.report import best, stats
from harness.report import format as printing
from harness.report.agreement import agreement_notes
from harness.report.best import Figure
from harness.report.estimates import estimates, estimates_by, ordered, with_n
from harness.report.format import Table
from harness.report.sections import BESIDE_GISTS, COMPARED, HELD_OUT_SLICE, Section, matches
from harness.run.kept import Kept
from harness.run.metrics import Metric

LEGEND = (
    "n: questions. In brackets: 95 % intervals, exact (Clopper and Pearson) at the number of "
    "independent questions that would vary as much between contexts; none for fewer than "
    f"{stats.MIN_CONTEXTS} contexts.",
    "Compression: tokens of the context over the KV entries that stand for it.",
)
BUDGETS = (
    "Budget: how many KV entries a backend may keep for a context. Cached tokens: how many it "
    "kept, the mean; smaller where the context has fewer tokens or a passage ends before the "
    "budget does."
)
ANSWER_RATE = (
    "Answer rate: questions without an error over all questions. Scores are means over the former "
    "alone, so a backend that fails on hard questions looks better than it is."
)
WORDS = "answer_words"
_derived = partial(Metric, is_column=False)
METRICS = (
    _derived(
        "compression",
        "Context tokens over the KV entries that stand for them, sums over questions.",
        "ratio",
        kind="cost",
    ),
    _derived(
        "errors",
        "Fraction of questions that ended in an error (context_too_long, out_of_memory); tables "
        "give their number.",
        better="lower",
    ),
    _derived(
        "answer_rate",
        "Fraction of a backend's questions that did not end in an error. Scores are means over "
        "these; compare counts the others as wrong.",
        headings=("answer rate",),
    ),
    _derived(
        "n",
        "Questions, and contexts, behind a figure.",
        "count",
        "neither",
        kind="comparison",
        headings=("n", "contexts"),
    ),
)


def headline_table(section: Section) -> Table:
    """Return one row per backend with every metric, n, contexts, compression and errors."""
    main, *others = section.metrics
    scores = estimates(section.counted, main)
    besides = [estimates(section.counted, metric) for metric in others]
    words = _answer_words(section.counted)
    errors = errors_by_backend(section.rows)
    answered = answer_rates(section.rows)
    rows = []
    figures: list[list[Figure]] = []
    for backend in section.backends:
        score = scores.get(backend)
        n, contexts = (score.n, score.contexts) if score else (0, 0)
        means = [each.get(backend) for each in (scores, *besides)]
        figures.append(
            [(each.mean, f"{each.mean:.2f}") if each else best.UNKNOWN for each in means]
        )
        rows.append(
            (
                backend,
                printing.interval(score),
                *(with_n(metric.get(backend), n) for metric in besides),
                *([printing.rate(words.get(backend, np.nan))] if len(words) else []),
                printing.count(n),
                printing.count(contexts),
                _compression(section.counted.of(backend)),
                *([answered[backend], errors.get(backend, "")] if errors else []),
            )
        )
    answers = (main, *others, *([WORDS] if len(words) else []))
    header = ("backend", *answers, "n", "contexts", "compression")
    notes = (*_notes(section, scores.values()), *notices(section.rows))
    failed = ["answer rate", "errors"] if errors else []
    signs = best.signs()
    columns = {
        at + 1: [(signs[metric] * one[at][0], one[at][1]) for one in figures]
        for at, metric in enumerate(section.metrics)
        if metric in signs
    }
    marks = dict(best.marked(section.backends, columns))
    legend = (*LEGEND, *([ANSWER_RATE] if errors else []), *([best.LEGEND] if marks else []))
    return Table("Answers", (*header, *failed), tuple(rows), notes, legend, marks=marks)


def budget_tables(section: Section) -> Iterator[Table]:
    """Yield the headline metric of the backends that have a budget, budget by budget."""
    if len(section.budgets) < 2:
        return
    main, entries = section.metrics[0], "context_entries"
    scores = estimates(section.counted, main)
    backends = [name for name in section.backends if name in section.budgets and name in scores]
    rows = tuple(
        (
            printing.count(section.budgets[backend].tokens),
            section.budgets[backend].family,
            printing.interval(scores[backend]),
            printing.rate(section.counted.of(backend)[[entries]][entries].mean()),
            printing.count(scores[backend].n),
            printing.count(scores[backend].contexts),
        )
        for backend in sorted(backends, key=lambda backend: section.budgets[backend].tokens)
    )
    header = ("budget", "backend", main, "cached tokens", "n", "contexts")
    yield Table(f"{main} by budget", header, rows, legend=(BUDGETS,), keys=2)


def slice_tables(section: Section) -> Iterator[Table]:
    """Yield the headline metric of every backend (rows) at every value of a slice (columns)."""
    main = section.metrics[0]
    for name in section.slices:
        rows = section.rows if name == HELD_OUT_SLICE[0] else section.counted
        scores = {value: found for (value,), found in estimates_by(rows, main, [name]).items()}
        if len(scores) > 1:
            columns = {value: scores[value] for value in ordered(scores)}
            yield side_by_side(f"{main} by {name}", section.backends, columns.items())


def side_by_side(
    title: str,
    backends: Sequence[str],
    columns: Iterable[tuple[str, Mapping[str, stats.Estimate]]],
    notes: Sequence[str] = (),
) -> Table:
    """Return the estimates of each backend in columns, each with the n that most of it have."""
    header, cells = ["backend"], []
    for name, found in columns:
        n = mode(estimate.n for estimate in found.values())
        header.append(f"{name} (n={n:,})")
        cells.append([with_n(found.get(backend), n) for backend in backends])
    return Table(title, tuple(header), tuple(zip(backends, *cells, strict=True)), tuple(notes))


def errors_by_backend(rows: Kept) -> dict[str, str]:
    """Return `2 context_too_long, 1 out_of_memory` for each backend that has errors."""
    failed = rows.where("error", lambda errors: errors != "")
    return {
        backend: ", ".join(f"{n:,} {error}" for error, n in codes.value_counts().items())
        for backend in rows.backends
        if len(codes := failed.of(backend)[["error"]]["error"])
    }


def answer_rates(rows: Kept) -> dict[str, str]:
    """Return the share of each backend's questions that did not end in an error."""
    errors = {backend: rows.of(backend)[["error"]]["error"] for backend in rows.backends}
    return {backend: f"{(error == '').mean():.2f}" for backend, error in errors.items()}


def notices(rows: Kept) -> list[str]:
    """Return the notices of rows, each once, and for each kind of error the first one."""
    names = ["backend", "error", "notice"]
    shown = rows.where("notice", lambda texts: texts != "")[names].drop_duplicates()
    # An error's notice says what did not fit, with another figure for each sample.
    shown = shown[(shown["error"] == "") | ~shown.duplicated(["backend", "error"])]
    return [
        ": ".join(filter(None, (backend, error, notice)))
        for backend, error, notice in shown.itertuples(index=False)
    ]


def _notes(section: Section, scores: Iterable[stats.Estimate]) -> Iterator[str]:
    if section.headline_note:
        yield section.headline_note
    yield from agreement_notes(section.rows, section.metrics)
    yield from _cut_and_thought(section.rows)
    column, value = HELD_OUT_SLICE
    left_out = len(section.rows) - len(section.counted)
    if left_out:
        yield (
            f"The {left_out:,} held-out rows of {column}={value} are not counted, here and in "
            f"every table of answers but the one by {column}."
        )
    if section.backends_named(COMPARED):
        missing = [
            f"{control} ({meaning})"
            for control, meaning in BESIDE_GISTS.items()
            if not any(matches(backend, control) for backend in section.backends)
        ]
        if missing:
            yield f"Controls that were not run: {', '.join(missing)}. Run with --controls."
    if len({estimate.n for estimate in scores}) > 1:
        yield (
            "The backends answered different numbers of questions: compare them by the paired "
            "differences."
        )


def _answer_words(rows: Kept) -> dict[str, float]:
    """Return the mean of each backend's answers; runs of older versions do not know it."""
    words = {backend: rows.of(backend)[[WORDS]][WORDS].mean() for backend in rows.backends}
    return {backend: float(mean) for backend, mean in words.items() if mean == mean}


def _cut_and_thought(rows: Kept) -> Iterator[str]:
    """Yield how many answers were cut at their limit, and in how many the model thought first.

    Runs of older versions do not know.
    """
    for column, said in (
        ("cut", "were cut at {} tokens, before they had ended"),
        ("thought_words", "began with a thought, which is not scored"),
    ):
        found = rows.where(column, lambda values: values > 0)[["backend", "max_new_tokens"]]
        if found.empty:
            continue
        limits = sorted({int(limit) for limit in found["max_new_tokens"].dropna().unique()})
        counts = found.groupby("backend", sort=False).size()
        shown = " to ".join(map(printing.count, dict.fromkeys((limits[0], limits[-1]))))
        answers = len(rows.where("error", lambda errors: errors == ""))
        of_backends = ", ".join(f"{backend} {n:,}" for backend, n in counts.items())
        yield f"{len(found):,} of {answers:,} answers {said.format(shown)}: {of_backends}."


def _compression(rows: Kept) -> str:
    """Return context tokens over the KV entries kept for them; `none` where none are kept."""
    known = rows[["context_tokens", "context_entries"]].dropna()
    if known.empty:
        return printing.UNKNOWN
    entries = known["context_entries"].sum()
    return f"{printing.rate(known['context_tokens'].sum() / entries)}x" if entries else "none"
