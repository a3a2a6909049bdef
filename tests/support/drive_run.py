"""Run the fake suites with the fake backend in a process of its own, which a test may kill.

Usage: python -m tests.support.drive_run OUT GATE
"""

import sys
from pathlib import Path

from harness.run.choose import choose_backends, choose_suites, make_plan
from harness.run.plan import Settings
from harness.run.runner import run
from tests.support.fakes import FakeModel


def main(out: str, gate: str) -> None:
    """Run until the gate stops it, or to the end if the gate is open."""
    model = FakeModel()
    suites = choose_suites(["tests.support.fakes:Scored,contexts=5", "tests.support.fakes:Costs"])
    backends = choose_backends(
        [f"tests.support.fakes:Fake,gate={gate}", "tests.support.fakes:Fake,words=4"]
    )
    plan = make_plan(model, suites, backends, Settings(batch_size=2))
    print(run(plan, model, out=Path(out), command="drive_run"))


if __name__ == "__main__":
    main(*sys.argv[1:])
