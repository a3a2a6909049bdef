"""Run the fake suites with a Ray, and press Ctrl-C at a moment that no clock could hit.

Usage: python -m tests.support.interrupted_run MOMENT OUT GATE ADDRESS
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import ray

from harness.run import cluster
from tests.support import drive_run


class Ending:
    """Something in whose destructor Ctrl-C is pressed: Python drops what is raised there."""

    def __del__(self) -> None:
        press()


def press() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def twice() -> None:
    """Press Ctrl-C, and again."""
    press()
    press()


def then(function: Callable[..., Any], end: Callable[[], object], at: int = 0) -> Any:
    """Return a function that does something more at the end of one of its calls."""
    calls = count()

    def both(*arguments: Any, **named: Any) -> Any:
        found = function(*arguments, **named)
        if next(calls) == at:
            end()
        return found

    return both


def main(moment: str, out: str, gate: str, address: str) -> None:
    """Arm the moment, and run."""
    if moment in ("shutdown", "hang"):
        Path(gate).mkdir()
    match moment:
        case "init":
            ray.init = then(ray.init, press)
        case "loading":
            ray.wait = then(ray.wait, press)
        case "rows":
            ray.wait = then(ray.wait, press, at=10)
        case "destructor":
            ray.wait = then(ray.wait, Ending, at=10)
        case "shutdown":
            ray.shutdown = then(ray.shutdown, press)
        case "twice":
            ray.wait = then(ray.wait, twice, at=10)
        case "hang":
            cluster.SHUTDOWN_S = 2
            ray.shutdown = threading.Event().wait
    drive_run.main(out, gate, address)


if __name__ == "__main__":
    main(*sys.argv[1:])
