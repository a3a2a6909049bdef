"""Contexts of a run that an adapter was trained on: what it scores there is no evidence."""

from typing import TYPE_CHECKING

from harness.checks.adapter import adapter_of
from harness.checks.run import UNTRAINED
from harness.run.plan import Plan

if TYPE_CHECKING:
    from gist.models.model import LanguageModel


def overlap_notices(model: "LanguageModel", plan: Plan) -> list[str]:
    """Return a line for each suite with such contexts, and the configurations that read them.

    A paragraph is known again among others: in a context that was filled up, say.
    """
    from gist.checkpoint import paragraph_hashes, read_contexts

    users: dict[str, list[str]] = {}
    trained: dict[str, frozenset[bytes]] = {}
    for configuration in plan.configurations:
        adapter = configuration.description.get("adapter", UNTRAINED)
        if adapter != UNTRAINED:
            trained[adapter] = read_contexts(adapter_of(model, configuration.spec))
            users.setdefault(adapter, []).append(configuration.name)
    return [
        f"The adapter of {', '.join(users[adapter])} was trained on {known} of the "
        f"{len(job.samples)} contexts of {job.name}: what it scores on them does not show what it "
        "does with a new text."
        for adapter, hashes in trained.items()
        for job in plan.jobs
        if job.suite.metrics
        and (known := sum(bool(paragraph_hashes(s.context) & hashes) for s in job.samples))
    ]
