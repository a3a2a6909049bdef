"""The validity checks of an adapter as text, as JSON and as pictures."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.checks.adapter import adapter_of, has_adapter
from harness.checks.shuffled import Check
from harness.report.format import Page, Table
from harness.run.spec import Spec

if TYPE_CHECKING:
    from gist.collator import Example
    from gist.models.model import LanguageModel


def checks_text(checks: Sequence[Check], *, width: int) -> str:
    """Return the checks as a table, with what each of them means."""
    rows = [(p.name, p.measured, p.limit, "pass" if p.passed else "FAIL") for p in checks]
    notes = tuple(f"{check.name}: {check.detail}" for check in checks)
    header = ("check", "measured", "limit", "verdict")
    page = Page(markdown=False, width=width)
    page.add_table(Table("Validity checks", header, tuple(rows), notes))
    return page.text()


def verdict(checks: Sequence[Check]) -> str:
    """Return how many checks hold, and the names of those that fail."""
    failed = [check.name for check in checks if not check.passed]
    if failed:
        return f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}."
    return f"All {len(checks)} checks hold."


def checks_json(model: "LanguageModel", spec: Spec, checks: Sequence[Check]) -> str:
    """Return the checks of a backend as JSON, with the model and the adapter."""
    from gist.checkpoint import file_hash

    result = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "backend": str(spec),
        "adapter": file_hash(adapter_of(model, spec)) if has_adapter(model, spec) else None,
        "proofs": [asdict(check) for check in checks],
    }
    return json.dumps(result, indent=1) + "\n"


def draw_pictures(
    folder: Path, model: "LanguageModel", spec: Spec, examples: "Sequence[Example]"
) -> Iterator[Path]:
    """Draw the mask of training and what the gists attend to; yield the files, none for means."""
    from gist.adapter import attached
    from gist.collator import PackedCollator
    from gist.embedding import first_gist_id
    from gist.pictures import gist_attention, training_mask
    from gist.validity import shortened

    folder.mkdir(parents=True, exist_ok=True)
    with attached(model, adapter_of(model, spec)) as card:
        if card.plan.pools:
            return
        example = shortened(examples[0], card.plan)
        collator = PackedCollator(model.prompt, first_gist_id(model.model), card.plan)
        yield training_mask(folder / "training_mask.png", collator, example)
        yield gist_attention(
            folder / "gist_attention.png",
            model,
            example.context,
            gists=example.gists,
            plan=card.plan,
        )
