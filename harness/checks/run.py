"""The validity checks of a run's gist configurations, on the user's own model and adapter."""

import logging
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import SampleError, UserError
from harness.run.plan import Configuration, Plan

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

log = logging.getLogger(__name__)
UNTRAINED = "untrained"  # in place of an adapter's hash


def run_checks(model: "LanguageModel", plan: Plan) -> list[dict[str, Any]]:
    """Check each trained adapter that configurations compress with, once, for `run.json`."""
    by_adapter: dict[str, list[Configuration]] = {}
    for configuration in plan.configurations:
        adapter = configuration.description.get("adapter", UNTRAINED)
        if adapter != UNTRAINED and _compresses(configuration.kind):
            by_adapter.setdefault(str(adapter), []).append(configuration)
    return [
        {
            "adapter": adapter,
            "backends": [configuration.name for configuration in configurations],
            **_checked(model, configurations[0]),
        }
        for adapter, configurations in by_adapter.items()
    ]


def _compresses(kind: type) -> bool:
    """Return whether a backend compresses: it has an option for the number of gists or the ratio.

    Others use only the LoRA weights of an adapter.
    """
    options = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    return bool(options & {"tokens", "ratio"})


def _checked(model: "LanguageModel", configuration: Configuration) -> dict[str, Any]:
    from harness.checks.adapter import check_adapter
    from harness.run.measure import memory_errors

    try:
        with memory_errors():
            checks = check_adapter(model, configuration.spec, shuffled=False)
    except (UserError, SampleError) as impossible:
        log.warning("the checks of %s were not run: %s", configuration.name, impossible)
        return {"not_run": str(impossible)}
    for check in checks:
        if not check.passed:
            log.warning("%s: %s FAILS: %s", configuration.name, check.name, check.measured)
    return {"proofs": [asdict(check) for check in checks]}
