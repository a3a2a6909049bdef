"""Every figure that is stored or shown has one definition, and the list prints it."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.data import formats
from harness.cli.listing import command
from harness.report.metrics import all_metrics
from harness.report.render import render
from harness.run import plugins
from harness.run.metrics import Metric
from harness.run.records import FIXED
from tests.support.rows import row, write_run

METRICS = all_metrics()

NOT_FIGURES = {  # words of a row, and what it was asked
    "suite", "backend", "model", "sample_id", "question_id", "batch_id", "batch_size",
    "max_new_tokens", "contexts_held", "memory_kind", "question", "answer", "targets",
    "evidence", "error", "notice",
}  # fmt: skip
KEYS = {
    "backend",
    "way",
    "minus",
    "against",
    "budget",
    "tokens",
    "contexts_held",
}  # columns that name a row of a table


def defined(heading: str) -> bool:
    """Return whether a column of a table is a figure with a definition."""
    names = {name for metric in METRICS.values() for name in (metric.name, *metric.headings)}
    plain = heading.replace("evidence recall", "evidence_recall")
    # `f1 given a hit`, `0.5 (n=20)`: a metric told apart, or the headline metric at a slice.
    return plain in names or any(plain.endswith(f" {name}") for name in names)


def every_table(folder: Path) -> str:
    """Return a report with all tables that rows can lead to."""
    scores = {
        "full": 1.0,
        "gist,ratio=4": 0.5,
        "gist,ratio=8": 0.5,
        "rag": 0.5,
        "closed_book": 0.0,
        "truncate": 0.25,
    }
    rows = [
        row(
            backend,
            f"{sample}/{new}",
            suite=suite,
            tokens=str(512 * (1 + sample % 2)),
            context_tokens=500 + sample,
            context_entries=50,
            prompt_tokens=60,
            new_tokens=new if sample != 7 else None,
            max_new_tokens=new,
            contexts_held=1 + sample % 2,
            prepare_s=1.0,
            generate_s=0.1 * new,
            prepare_peak_bytes=10,
            generate_peak_bytes=10,
            held_bytes=10,
            memory_kind="cpu_rss",
            error="out_of_memory" if sample == 7 else None,
            f1=score * (sample % 3) / 2 if suite == "qa" and sample != 7 else None,
            evidence_recall=sample % 2 if backend == "rag" and sample != 7 else None,
        )
        for suite in ("qa", "vram")
        for backend, score in scores.items()
        for sample in range(12)
        for new in (1, 8)
    ]
    return render([write_run(folder, rows)], markdown=True)


def headings(report: str) -> dict[str, set[str]]:
    """Return the columns of each table of a Markdown report, by its title."""
    tables = re.findall(r"\*\*(.+?)\*\*\n\n\|(.+?)\|\n", report)
    found: dict[str, set[str]] = {}
    for title, header in tables:
        found.setdefault(title, set()).update(cell.strip() for cell in header.split("|"))
    return found


def test_every_metric_of_every_suite_is_defined() -> None:
    """What an installed suite, or a data set's own scorer, returns has a definition."""
    names = {
        metric
        for suite in plugins.names(plugins.SUITES)
        for metric in getattr(plugins.load(plugins.SUITES, suite), "metrics", ())
    }
    names |= {metric for name in formats.names() for metric in formats.load(name).metrics}
    assert {"exact_match", "f1", "accuracy"} <= names
    assert names - METRICS.keys() == set()
    assert {METRICS[name].kind for name in names} == {"answer"}


def test_every_column_of_the_records_is_defined() -> None:
    """A number that a row stores is in the list, and the list names no column that is not there."""
    stored = {metric.name for metric in METRICS.values() if metric.is_column}
    assert FIXED - NOT_FIGURES - stored == set()
    assert {name for name in stored if METRICS[name].kind == "cost"} <= FIXED


def test_every_figure_of_a_table_is_defined(tmp_path: Path) -> None:
    """Each column of a full report is the name of a row, a slice, or has a definition."""
    tables = headings(every_table(tmp_path / "run"))
    assert {"Answers", "Paired differences in f1", "Gap recovered in f1", "Retrieval"} <= set(
        tables
    )
    by_slice = {title for title in tables if re.match("f1 by ", title)}
    shown = set().union(*(tables[title] for title in tables.keys() - by_slice))
    assert {"tokens/s", "first token", "held", "recovered", "detectable"} <= shown
    assert {heading for heading in shown - KEYS if not defined(heading)} == set()


def test_figures_of_tables_that_need_more_than_rows_are_defined() -> None:
    """Tables over several budgets, and of break-even, have columns with a definition too."""
    assert all(map(defined, ("cached tokens", "break-even questions")))


def test_a_figure_without_definition_is_noticed() -> None:
    """The checks above can fail."""
    assert not defined("tokens/h")
    assert not defined("recalled")


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_a_definition_is_whole(metric: Metric) -> None:
    """It has a unit that its name agrees with, a sentence, and a source."""
    ends = {"_tokens_per_s": "tokens/s", "_bytes": "bytes", "_tokens": "tokens", "_s": "s"}
    unit = next((ends[end] for end in ends if metric.name.endswith(end)), metric.unit)
    assert metric.unit == unit
    assert metric.meaning.endswith(".")
    assert metric.source
    assert metric.kind != "answer" or metric.unit == "0 to 1"


def test_the_list_has_every_definition() -> None:
    """`gist-bench list --metrics` prints each figure with unit, direction and source."""
    done = CliRunner().invoke(command, ["--metrics"])
    assert done.exit_code == 0
    text = " ".join(done.output.split())
    for metric in METRICS.values():
        assert f"{metric.name} ({metric.unit}" in text
        assert f"{metric.meaning} Source: {metric.source}." in text
    assert "held_bytes (bytes, lower is better)" in text
    assert max(map(len, done.output.splitlines())) <= 100
