"""How far a run is, and how long it will still take.

Questions do not take alike: a context of 4,000 tokens takes longer than one of 200, and one backend
longer than another. So the time left is what the rest weighs, by tokens to be read and to be
answered, times the seconds that each backend has taken for such a weight, over the workers.
"""

import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Self

from tqdm import tqdm

from harness.run.controls import ControlledSample
from harness.run.plan import Cell

EVERY_S = 30.0  # a line, where there is no terminal to draw a bar on
CHARACTERS = 4  # of a token, about; counting them would take as long as reading
ANSWERED = 8  # an answered token takes as long as so many that are read


def weight_of(controlled: ControlledSample) -> float:
    """Return about how much work a sample is, in tokens that are read."""
    read = sum(len(one.context) for one in controlled.assignments) / CHARACTERS
    return read + controlled.questions * ANSWERED * min(controlled.sample.max_new_tokens, 32)


@dataclass
class Forecast:
    """The time left, by the pace of each suite with each backend so far.

    Args:
        left: the weight of what is not done, by suite and backend.
    """

    left: dict[tuple[str, str], float]
    _done: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    _seconds: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))

    def add(self, cell: tuple[str, str], weight: float, seconds: float) -> None:
        """Count a sample that is done."""
        self.left[cell] = max(0.0, self.left.get(cell, 0.0) - weight)
        self._done[cell] += weight
        self._seconds[cell] += seconds

    def seconds_left(self) -> float | None:
        """Return the time that the rest will take; None before the first sample is done."""
        if not self._done:
            return None
        return sum(weight * self._pace(cell) for cell, weight in self.left.items())

    def _pace(self, cell: tuple[str, str]) -> float:
        """Return seconds per weight: of the cell, else of its backend elsewhere, else of all."""
        same = {one for one in self._done if one[1] == cell[1]}
        for alike in ({cell}, same, set(self._done)):
            if weight := sum(self._done.get(one, 0.0) for one in alike):
                return sum(self._seconds[one] for one in alike) / weight
        return 0.0


class Progress:
    """Shows a bar on a terminal, and elsewhere a line every half minute, on stderr."""

    def __init__(self, cells: Sequence[Cell], *, total: int, workers: int = 1) -> None:
        left: dict[tuple[str, str], float] = defaultdict(float)
        for cell in cells:
            left[_name(cell)] += sum(map(weight_of, cell.samples))
        self.forecast = Forecast(left)
        self._total, self._workers = total, workers
        self._done = total - sum(each.questions for cell in cells for each in cell.samples)
        self._cell = ("", "")
        self._ended = threading.Event()
        self._bar: tqdm[NoReturn] | None = None

    def __enter__(self) -> Self:
        """Begin to show it."""
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=self._total,
                initial=self._done,
                unit=" questions",
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
                "[{elapsed}{postfix}]",
            )
        else:
            threading.Thread(target=self._speak, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state where it is."""
        self._ended.set()
        if self._bar is not None:
            self._bar.close()

    def begin(self, cell: Cell) -> None:
        """Say what has begun to run."""
        self._cell = _name(cell)
        if self._bar is not None:
            self._bar.set_description(" ".join(self._cell), refresh=False)

    def update(self, cell: Cell, controlled: ControlledSample, seconds: float) -> None:
        """Count a sample that took a worker so long."""
        self.forecast.add(_name(cell), weight_of(controlled), seconds)
        self._done += controlled.questions
        if self._bar is not None:
            self._bar.set_postfix_str(self._left(), refresh=False)
            self._bar.update(controlled.questions)

    def line(self) -> str:
        """Return how far the run is, in words."""
        shown = " ".join(filter(None, self._cell))
        state = f"{self._done:,} of {self._total:,} questions"
        several = f"{self._workers} workers" if self._workers > 1 else ""
        return "; ".join(filter(None, (state, shown, several, self._left())))

    def _left(self) -> str:
        seconds = self.forecast.seconds_left()
        return "" if seconds is None else f"about {in_words(seconds / self._workers)} left"

    def _speak(self) -> None:
        while not self._ended.wait(EVERY_S):
            print(f"gist-bench: {self.line()}", file=sys.stderr, flush=True)


def in_words(seconds: float) -> str:
    """Return a time as hours, minutes and seconds: 1:02:03, 2:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _name(cell: Cell) -> tuple[str, str]:
    return cell.job.name, cell.configuration.name
