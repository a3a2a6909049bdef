"""A run says which of its contexts the adapter was trained on."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gist.checkpoint import paragraph_hashes, write_contexts
from harness.checks.overlap import overlap_notices
from harness.run.choose import choose_backends, choose_suites
from harness.run.plan import Settings
from harness.run.planning import make_plan
from tests.support.tiny_adapter import save_tiny_adapter

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

SEEN = "The river rises in the hills above the town, and floods it each spring."
OTHER = "The mill was built by two brothers in a year that nobody can remember."
HEADING = "Chapter 1"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three contexts; two have the paragraph, one of them among others and in another case."""
    contexts = (f"{HEADING}\n\n{OTHER}", SEEN, f"{OTHER}\n\n{SEEN.upper()}")
    rows = [
        {
            "id": str(i),
            "context": text,
            "questions": [{"id": "q", "question": "Who?", "answers": ["x"]}],
        }
        for i, text in enumerate(contexts)
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def notices(lm: "LanguageModel", data: Path, *backends: str) -> list[str]:
    """Return what a run of the file would say."""
    suites = choose_suites([f"qa,data={data}", "vram"])
    return overlap_notices(lm, make_plan(lm, suites, choose_backends(backends), Settings(limit=3)))


def test_contexts_of_the_training_are_counted(
    tiny_llama: "LanguageModel", data: Path, tmp_path: Path
) -> None:
    """By paragraph; headings are no overlap; who uses the adapter is named, and nobody else."""
    folder = save_tiny_adapter(tiny_llama, tmp_path / "adapter")
    gist = f"gist,checkpoint={folder}"
    backends = ("full", f"full,adapter=on,checkpoint={folder}", gist, f"{gist},untrained=true")
    assert notices(tiny_llama, data, *backends) == []  # an adapter that does not say
    write_contexts(folder, paragraph_hashes(f"{HEADING}\n\n{SEEN}"))
    (notice,) = notices(tiny_llama, data, *backends)
    assert notice.startswith(
        f"The adapter of {backends[1]}, {gist} was trained on 2 of the 3 contexts of qa,data="
    )
    write_contexts(folder, paragraph_hashes("Something else that has at least eight words in it."))
    assert notices(tiny_llama, data, *backends) == []
