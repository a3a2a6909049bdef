"""The plans of one model with several seeds: each seed's own samples, no sample twice."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.api import Model, Suite
from harness.run.choose import Choice, make_plan
from harness.run.plan import Job, Plan, Settings

log = logging.getLogger(__name__)

_Drawn = frozenset[tuple[str, str]]  # id and context of each sample


def plans_of(
    model: Model,
    suites: Sequence[tuple[Choice, Suite]],
    backends: Sequence[Choice],
    settings: Sequence[Settings],
) -> Iterator[Plan]:
    """Yield a plan for each of some settings that differ in their seed.

    A suite whose samples are those of an earlier seed is left out: contexts of a file do not depend
    on the seed, and asked again they would only seem to be more of them.

    Raises:
        UserError: as `make_plan`.
    """
    earlier: dict[tuple[str, _Drawn], int] = {}  # the seed that drew them first
    for one in settings:
        plan = make_plan(model, suites, backends, one)
        first = [earlier.setdefault((job.name, _drawn(job)), one.seed) for job in plan.jobs]
        for job, seed in zip(plan.jobs, first, strict=True):
            if seed != one.seed:
                log.warning(f"{job.name}: seed {one.seed} draws the samples of seed {seed}.")
        own = tuple(job for job, seed in zip(plan.jobs, first, strict=True) if seed == one.seed)
        if own:
            yield replace(plan, jobs=own)


def _drawn(job: Job) -> _Drawn:
    return frozenset((sample.id, sample.context) for sample in job.samples)
