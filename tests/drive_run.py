"""Run the fake suites with the fake backend in a process of its own, which a test may kill.

Usage: python -m tests.drive_run OUT GATE
"""

import sys
from pathlib import Path

from harness.choose import choose_backends, choose_suites, make_plan
from harness.plan import Settings
from harness.runner import run
from tests.fakes import FakeModel


def main(out: str, gate: str) -> None:
    """Run until the gate stops it, or to the end if the gate is open."""
    model = FakeModel()
    suites = choose_suites(["tests.fakes:Scored,contexts=5", "tests.fakes:Costs"])
    backends = choose_backends([f"tests.fakes:Fake,gate={gate}", "tests.fakes:Fake,words=4"])
    plan = make_plan(model, suites, backends, Settings(batch_size=2))
    print(run(plan, model, out=Path(out), command="drive_run"))


if __name__ == "__main__":
    main(*sys.argv[1:])
