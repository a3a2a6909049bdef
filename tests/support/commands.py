"""The command line, called inside the test's own process."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from harness.cli import main


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


GistBench = Callable[..., Done]  # called with the words of a command, the program's name left out


def run_command(capsys: pytest.CaptureFixture[str], *words: object) -> Done:
    """Run a command and return its exit code and what it printed."""
    with pytest.raises(SystemExit) as exited:
        main([str(word) for word in words])
    code = exited.value.code or 0
    assert isinstance(code, int), code
    return Done(code, *capsys.readouterr())
