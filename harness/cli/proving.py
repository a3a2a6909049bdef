"""The proofs beside the figures of a run's gist arms, on the user's own model and adapter."""

import logging
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import SampleError, UserError
from harness.plan import Arm, Plan

if TYPE_CHECKING:
    from gist.model import LanguageModel

log = logging.getLogger(__name__)
UNTRAINED = "untrained"  # in place of an adapter's hash


def prove(model: "LanguageModel", plan: Plan) -> list[dict[str, Any]]:
    """Check each trained adapter that arms compress with, once; for `run.json`."""
    by_adapter: dict[str, list[Arm]] = {}
    for arm in plan.arms:
        adapter = arm.description.get("adapter", UNTRAINED)
        if adapter != UNTRAINED and _compresses(arm.kind):
            by_adapter.setdefault(str(adapter), []).append(arm)
    return [
        {"adapter": adapter, "backends": [arm.name for arm in arms], **_checked(model, arms[0])}
        for adapter, arms in by_adapter.items()
    ]


def _compresses(kind: type) -> bool:
    """Return whether a backend with an adapter keeps gists: it takes their number or ratio.

    Others use an adapter for its LoRA weights alone.
    """
    options = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    return bool(options & {"tokens", "ratio"})


def _checked(model: "LanguageModel", arm: Arm) -> dict[str, Any]:
    from gist.errors import GistError
    from harness.cli.checking import check_adapter
    from harness.measure import memory_errors

    try:
        with memory_errors():
            proofs = check_adapter(model, arm.spec, swapped=False)
    except (GistError, UserError, SampleError) as impossible:
        log.warning("the proofs of %s were not run: %s", arm.name, impossible)
        return {"not_run": str(impossible)}
    for proof in proofs:
        if not proof.passed:
            log.warning("%s: %s FAILS: %s", arm.name, proof.name, proof.measured)
    return {"proofs": [asdict(proof) for proof in proofs]}
