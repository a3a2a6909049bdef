"""Run the fake suites with fake backends in a process of its own, which a test may kill.

Usage: python -m tests.support.drive_run OUT GATE [ADDRESS [BACKEND]...]

With the address of a Ray, or an empty one for its own, workers do the samples.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from harness.run.choose import choose_backends, choose_suites
from harness.run.cluster import connected
from harness.run.engine import Engine, OneProcess
from harness.run.plan import Settings
from harness.run.runner import run
from harness.run.workers import Workers
from tests.support.fakes import FakeModel


def main(out: str, gate: str, address: str | None = None, *backends: str) -> None:
    """Run until the gate stops it, or to the end if the gate is open."""
    suites = choose_suites(["tests.support.fakes:Scored,contexts=5", "tests.support.fakes:Costs"])
    fakes = [f"tests.support.fakes:Fake,gate={gate}", "tests.support.fakes:Fake,words=4"]
    with engine(address) as asked:
        (plan,) = asked.plans(suites, choose_backends(backends or fakes), [Settings(batch_size=2)])
        folder = run(plan, asked, out=Path(out), command="drive_run")
    print(folder)


@contextmanager
def engine(address: str | None) -> Iterator[Engine]:
    """Yield the workers of a Ray, or this process."""
    if address is None:
        yield OneProcess(FakeModel())
        return
    with connected(address) as heed:
        yield Workers(partial(OneProcess, FakeModel()), heed, on_gpus=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
