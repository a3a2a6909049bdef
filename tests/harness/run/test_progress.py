"""How far a run is: the time left follows from what is left, and silence is broken."""

import io
import sys
import time
from typing import Any, cast

import pytest

from harness.api import Question, Sample
from harness.run.controls import ContextAssignment, ControlledSample
from harness.run.plan import Cell
from harness.run.progress import Forecast, Progress, in_words, weight_of


def sample(number: int, characters: int, questions: int = 1) -> ControlledSample:
    """Return a sample with a context of a size."""
    asked = tuple(Question(str(n), "Who?", ("Ada",)) for n in range(questions))
    made = Sample(str(number), "x" * characters, asked, 8)
    return ControlledSample(made, (ContextAssignment(made.context, asked),))


class Named:
    """Stands for a job or a configuration, of which a name is all that counts here."""

    def __init__(self, name: str) -> None:
        self.name = name


def cell(backend: str, *samples: ControlledSample) -> Cell:
    """Return a suite with a backend."""
    return Cell(cast(Any, Named("qa")), cast(Any, Named(backend)), samples)


def test_the_time_left_is_weighed_by_context_and_backend() -> None:
    """Short contexts first and a slow backend last: a mean over questions says a tenth of it."""
    short, long = [sample(n, 400) for n in range(10)], [sample(n, 40_000) for n in range(10, 20)]
    cells = [cell("fast", *short, *long), cell("slow", *short, *long)]
    pace = {"fast": 0.001, "slow": 0.003}
    spent = [
        weight_of(one) * pace[each.configuration.name] for each in cells for one in each.samples
    ]
    progress = Progress(cells, total=40)
    said = []
    place = 0
    for each in cells:
        progress.begin(each)
        for one in each.samples:
            progress.update(each, one, spent[place])
            place += 1
            said.append((progress.forecast.seconds_left() or 0.0, sum(spent[place:])))
    of_fast, after_one_slow = said[9], said[20]
    assert of_fast[0] == pytest.approx(2 * sum(spent[10:20]) + sum(spent[:10]), rel=0.01)
    assert of_fast[0] > 0.45 * of_fast[1]  # that slow is slow cannot be known yet
    assert after_one_slow[0] == pytest.approx(after_one_slow[1])
    assert said[-1] == (0.0, 0)


def test_the_time_left_is_that_of_all_workers() -> None:
    """Four do in a quarter of the time what is left to one."""
    cells = [cell("full", *(sample(n, 400) for n in range(9)))]
    said = []
    for workers in (1, 4):
        progress = Progress(cells, total=9, workers=workers)
        progress.begin(cells[0])
        progress.update(cells[0], cells[0].samples[0], 60.0)
        said.append(progress.line())
    assert said == [
        "1 of 9 questions; qa full; about 8:00 left",
        "1 of 9 questions; qa full; 4 workers; about 2:00 left",
    ]


def test_a_backend_that_was_seen_in_another_suite_has_its_pace() -> None:
    """What is known of it is better than the mean of all."""
    forecast = Forecast({("qa", "gist"): 10.0, ("qa", "full"): 10.0, ("passkey", "gist"): 10.0})
    assert forecast.seconds_left() is None
    forecast.add(("qa", "gist"), 10.0, 50.0)
    forecast.add(("qa", "full"), 10.0, 10.0)
    assert forecast.seconds_left() == pytest.approx(50.0)


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while one sample takes long."""
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    cells = [cell("gist,ratio=8", sample(0, 400, 3), sample(1, 400, 2))]
    monkeypatch.setattr("harness.run.progress.EVERY_S", 0.02)
    with Progress(cells, total=9) as progress:
        progress.begin(cells[0])
        progress.update(cells[0], cells[0].samples[0], 0.0)
        end = time.monotonic() + 10
        while told.getvalue().count("\n") < 2 and time.monotonic() < end:
            time.sleep(0.01)
    lines = told.getvalue().splitlines()
    assert len(lines) >= 2
    assert lines[0].startswith("gist-bench: 7 of 9 questions; qa gist,ratio=8; about 0:00 left")


def test_times_are_said_as_clocks_do() -> None:
    """Hours only where there are some."""
    assert [in_words(n) for n in (4.4, 125, 3723)] == ["0:04", "2:05", "1:02:03"]
