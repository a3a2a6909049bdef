"""Several seeds: each draws its own samples, and no sample is asked twice."""

import logging

import pytest

from harness.run.choose import choose_backends, choose_suites
from harness.run.plan import Plan, Settings
from harness.run.sweep import plans_of
from tests.support.fakes import FakeModel

SCORED = "tests.support.fakes:Scored"  # its contexts name the seed
COSTS = "tests.support.fakes:Costs"  # its contexts do not depend on the seed


def plans(*suites: str, seeds: tuple[int, ...]) -> list[Plan]:
    """Return the plans of suites with seeds."""
    settings = [Settings(seed=seed) for seed in seeds]
    backends = choose_backends(["tests.support.fakes:Fake"])
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
