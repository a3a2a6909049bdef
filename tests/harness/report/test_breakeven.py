"""The break-even is the first number of questions at which a backend took less time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.report.breakeven import NEVER, BreakEven, break_even, break_evens, times_of
from harness.report.costs import measured
from tests.support.made_run import made_run
from tests.support.rows import sections


def times(
    read_s: float, question_s: float, *, contexts: int = 20, spread: float = 0.0
) -> pd.DataFrame:
    """Return the times of a backend on contexts of five questions each."""
    noise = 1 + spread * np.random.default_rng(contexts).standard_normal(contexts)
    counts = np.full(contexts, 5.0)
    answers_s = question_s * counts * noise
    columns = {"read_s": read_s * noise, "answers_s": answers_s, "questions": counts}
    return pd.DataFrame(columns)


def found(first: pd.DataFrame, second: pd.DataFrame) -> BreakEven:
    """Return the break-even of two backends that have contexts in common."""
    point = break_even("a", first, "b", second)
    assert point is not None
    return point


@pytest.mark.parametrize(
    ("read_s", "question_s", "questions"),
    [(2.0, 0.5, 3), (1.9, 0.5, 2), (1.0, 0.5, 1), (0.5, 0.5, 1), (1.5, 1.0, NEVER), (3, 2, NEVER)],
)
def test_the_break_even_is_where_faster_questions_make_up_for_reading(
    read_s: float, question_s: float, questions: float
) -> None:
    """Against a backend that takes a second to read and a second per question."""
    point = found(times(read_s, question_s), times(1.0, 1.0))
    assert point.questions == questions
    if questions != NEVER:
        spent = [read_s + n * question_s for n in (questions, questions - 1)]
        assert spent[0] < 1.0 + questions
        assert questions == 1 or spent[1] >= 1.0 + questions - 1


def test_one_that_reads_faster_and_answers_slower_is_ahead_at_first() -> None:
    """Cheaper up to some number, and never from there on."""
    point = found(times(1.0, 2.0), times(4.5, 1.0))
    assert (point.questions, point.until) == (NEVER, 3)
    assert "only up to 3" in str(point)


def test_the_interval_holds_the_figure_and_grows_with_the_spread() -> None:
    """More spread between contexts, less is known."""
    steady, shaky = (found(times(3, 0.5, spread=s), times(1, 1.0)) for s in (0.05, 0.4))
    for point in (steady, shaky):
        assert point.low is not None
        assert point.high is not None
        assert point.low <= point.questions <= point.high
    assert (shaky.high or 0) - (shaky.low or 0) > (steady.high or 0) - (steady.low or 0)


def test_few_contexts_give_no_interval() -> None:
    """Four contexts are too few to draw anew, as in every table."""
    point = found(times(2, 0.5, contexts=4), times(1, 1, contexts=4))
    assert (point.low, point.high) == (None, None)


def test_backends_are_compared_on_the_contexts_of_both() -> None:
    """A context that only one backend has read decides nothing."""
    first, second = times(2.0, 0.5, contexts=20), times(1.0, 1.0, contexts=10)
    first.loc[10:, "read_s"] = 1000.0
    point = found(first, second)
    assert (point.questions, point.contexts) == (3, 10)
    assert break_even("a", first, "b", second.set_index(np.arange(30, 40))) is None


def test_the_figures_are_those_of_the_table_of_costs(tmp_path: Path) -> None:
    """Reading and questions take what `measured` says they take."""
    (section,) = sections(made_run(tmp_path / "run", suites=("qa",)))
    for backend, rows in section.rows[section.rows.names].groupby("backend"):
        costs, own = measured(rows), times_of(rows)
        assert np.median(own.read_s) == pytest.approx(costs.prepare_s), backend
        assert own.answers_s.sum() / own.questions.sum() == pytest.approx(costs.question_s), backend
    gist = {point.other: point for point in break_evens(section) if point.backend == "gist"}
    assert set(gist) == {"full", "rag"}  # no floor, no other budget
    assert gist["full"].questions == 3  # 0.21 + 0.01 n < 0.10 + 0.05 n from 2.75 on
