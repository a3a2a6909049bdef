"""Several seeds: each draws its own samples, and no sample is asked twice."""

import logging
from itertools import product
from pathlib import Path

import pytest

from harness.report.render import render
from harness.run.choose import choose_backends, choose_suites
from harness.run.engine import OneProcess
from harness.run.plan import Plan, Settings
from harness.run.planning import make_plan, plans_of
from harness.run.runner import run
from tests.support.fakes import FakeModel

FAKE = "tests.support.fakes:Fake"
SCORED = "tests.support.fakes:Scored"  # its contexts name the seed
COSTS = "tests.support.fakes:Costs"  # its contexts do not depend on the seed


def plans(*suites: str, seeds: tuple[int, ...]) -> list[Plan]:
    """Return the plans of suites with seeds."""
    settings = [Settings(seed=seed) for seed in seeds]
    backends = choose_backends([FAKE])
    return list(plans_of(FakeModel(), choose_suites(suites), backends, settings))


def test_each_seed_has_a_plan_of_its_own() -> None:
    """The plans are those of as many commands with one seed each, folders included."""
    together = plans(SCORED, seeds=(0, 1))
    apart = [*plans(SCORED, seeds=(0,)), *plans(SCORED, seeds=(1,))]
    model = FakeModel()
    assert [one.identity(model) for one in together] == [one.identity(model) for one in apart]
    assert together[0].jobs[0].samples != together[1].jobs[0].samples


def test_samples_that_a_seed_does_not_change_are_asked_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A suite of fixed contexts runs with the first seed alone, and the log says so."""
    with caplog.at_level(logging.WARNING):
        first, second = plans(SCORED, COSTS, seeds=(0, 1))
    assert [job.name for job in first.jobs] == [SCORED, COSTS]
    assert [job.name for job in second.jobs] == [SCORED]
    assert f"{COSTS}: seed 1 draws the samples of seed 0." in caplog.text
    assert len(plans(COSTS, seeds=(0, 1, 2))) == 1


def test_parts_of_a_run_make_the_report_of_the_whole(tmp_path: Path) -> None:
    """Backends and suites split over machines, in folders of their own, are reported as one."""
    model, other = FakeModel(), f"{SCORED},contexts=7"
    fakes = [FAKE, f"{FAKE},words=2"]

    def report(out: str, suites: list[str], backends: list[str]) -> Path:
        plan = make_plan(model, choose_suites(suites), choose_backends(backends), Settings())
        return run(plan, OneProcess(model), out=tmp_path / out, command="test")

    whole = render([report("whole", [SCORED, other], fakes)], markdown=True)
    parts = [
        report(f"{number}", [suite], [backend])
        for number, (suite, backend) in enumerate(product([SCORED, other], fakes))
    ]
    merged = render(parts, markdown=True)
    for suite in (SCORED, other):
        assert "words=2" in _table(whole, suite, "Answers")
        for title in ("Answers", "Paired differences in right"):
            assert _table(merged, suite, title) == _table(whole, suite, title)


def _table(text: str, suite: str, title: str) -> str:
    """Return a table of a suite's section, empty if there is none."""
    section = text.partition(f"### {suite}\n")[2]
    return section.partition("\n### ")[0].partition(f"**{title}**\n\n")[2].partition("\n\n")[0]
