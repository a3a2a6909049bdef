"""The progress bar: questions answered of all questions of the run, with the time left.

It is drawn on stderr when that is a terminal.
"""

from types import TracebackType
from typing import Self

from tqdm import tqdm


class Progress:
    """A bar over the questions of a run, as a context manager."""

    def __init__(self, *, total: int, done: int) -> None:
        self._total, self._done = total, done

    def __enter__(self) -> Self:
        # disable=None: no bar in a file or a pipe.
        self._bar = tqdm(
            total=self._total, initial=self._done, unit=" questions", disable=None, smoothing=0.1
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._bar.close()

    def label(self, text: str) -> None:
        """Show what is running."""
        self._bar.set_description(text, refresh=False)

    def advance(self, questions: int) -> None:
        """Count questions as done."""
        self._bar.update(questions)
