"""The validity checks of a run's backends, on the user's own model, samples and adapters."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from harness.checks.shuffled import Check
from harness.errors import SampleError, UserError
from harness.run.measure import clock_s, memory_errors
from harness.run.plan import Cell, Configuration, Plan

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

log = logging.getLogger(__name__)
UNTRAINED = "untrained"  # in place of an adapter's hash
_DAMAGED = Check("base model of the run", "changed", "unchanged", passed=False)


def run_checks(model: "LanguageModel", plan: Plan) -> list[dict[str, Any]]:
    """Check each adapter that configurations compress with, and each backend, for `run.json`."""
    return [*check_adapters(model, plan), *check_backends(model, plan)]


def check_adapters(model: "LanguageModel", plan: Plan) -> Iterator[dict[str, Any]]:
    """Check masks and caches of each trained adapter once."""
    from harness.checks.adapter import check_adapter
    from harness.checks.trial import by_size

    by_adapter: dict[str, list[Configuration]] = {}
    for configuration in plan.configurations:
        adapter = configuration.description.get("adapter", UNTRAINED)
        if adapter != UNTRAINED and _compresses(configuration.kind):
            by_adapter.setdefault(str(adapter), []).append(configuration)
    for adapter, configurations in by_adapter.items():
        first, own = configurations[0], {each.name for each in configurations}
        read = by_size([cell for cell in plan.cells() if cell.configuration.name in own])
        longest = next((sample for _, sample in reversed(read) if sample.questions), None)
        check = partial(check_adapter, model, first.spec, longest=longest, shuffled=False)
        yield {
            "adapter": adapter,
            "backends": [configuration.name for configuration in configurations],
            **_checked(first.name, check),
        }


def _compresses(kind: type) -> bool:
    """Return whether a backend compresses: it has an option for the number of gists or the ratio.

    Others use only the LoRA weights of an adapter.
    """
    options = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    return bool(options & {"tokens", "ratio"})


def check_backends(model: "LanguageModel", plan: Plan) -> list[dict[str, Any]]:
    """Run samples through each backend, as the runner does, and look at what it does."""
    from harness.checks.answering import BaseModel, check_backend

    if model.device == "meta":
        return []
    by_spec: dict[str, list[Cell]] = {}
    for cell in plan.cells():
        by_spec.setdefault(str(cell.configuration.spec), []).append(cell)
    base = BaseModel.of(model)
    entries = []
    for cells in tqdm(by_spec.values(), desc="validity checks", unit=" backends", disable=None):
        configuration = replace(cells[0].configuration, control="")
        size = plan.settings.batch_size
        check = partial(check_backend, model, configuration, cells, base=base, batch_size=size)
        names = dict.fromkeys(cell.configuration.name for cell in cells)
        entries.append({"backends": list(names), **_checked(configuration.name, check)})
    if base.differs(BaseModel.of(model)):
        for entry in entries:  # no row is of the model that was checked
            entry.setdefault("proofs", []).append(asdict(_DAMAGED))
    return entries


def _checked(name: str, check: Callable[[], list[Check]]) -> dict[str, Any]:
    start = clock_s()
    try:
        with memory_errors():
            checks = check()
    except (UserError, SampleError) as impossible:
        log.warning("the checks of %s were not run: %s", name, impossible)
        return {"not_run": str(impossible)}
    for each in checks:
        if not each.passed:
            log.warning("%s: %s FAILS: %s", name, each.name, each.measured)
    return {
        "seconds": round(clock_s() - start, 2),
        "proofs": [asdict(each) for each in checks],
    }
