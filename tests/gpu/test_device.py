"""What must hold on a GPU as it does on a CPU: contracts, logits, memory, checks.

`make gpu` runs these on a CUDA device, and `make gpu TINY=1` on a CPU, so that no test is first
met on a card.
"""

import csv
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.api import PROMPT, Backend
from harness.errors import NotReady
from harness.run import plugins
from harness.run.spec import Spec, build, options_of

if TYPE_CHECKING:
    from gist.models.model import LanguageModel
    from tests.support.commands import GistBench

pytestmark = pytest.mark.gpu

NAMES = plugins.names(plugins.BACKENDS)
CHEAP = {"embedder": "bm25"}
CONTEXT = "The amber harp is in hall 7. The red cup is in hall 4. A boat left. Mira has room 12."
QUESTIONS = ["Which hall holds the harp?", "Room of Mira?"]
LOGITS_TOLERANCE = 1e-3  # of logits near 10, summed in another order


def opened(name: str, lm: "LanguageModel") -> Backend:
    """Build a backend as the command line does, with untrained gists where it needs an adapter."""
    kind = plugins.load(plugins.BACKENDS, name)
    known = {option.name for option in options_of(kind, given=1)}
    options = {option: value for option, value in CHEAP.items() if option in known}
    try:
        backend: Backend = build(kind, Spec(name, options), lm)
    except NotReady as lacking:
        backend = build(kind, Spec(name, lacking.cost_options), lm)
    return backend


@pytest.fixture(params=NAMES)
def backend(request: pytest.FixtureRequest, lm: "LanguageModel") -> Iterator[Backend]:
    """Every installed backend in turn."""
    with closing(opened(request.param, lm)) as built:
        yield built


def test_asking_leaves_the_context_unchanged(backend: Backend) -> None:
    """Asked again after other questions, a context answers as before, in as many bytes."""
    with closing(backend.prepare(CONTEXT)) as context:
        held = context.held_bytes
        first = context.generate(QUESTIONS, max_new_tokens=6)
        context.generate(["x"], max_new_tokens=2)
        assert context.generate(QUESTIONS, max_new_tokens=6) == first
        assert context.held_bytes == held > 0
        assert all(answer.prompt_tokens > 0 for answer in first)


def test_the_order_of_backends_does_not_matter(lm: "LanguageModel") -> None:
    """Each answers alike before and after the others: none leaves the model changed."""

    def answers(names: list[str]) -> dict[str, Any]:
        found = {}
        for name in names:
            with closing(opened(name, lm)) as built, closing(built.prepare(CONTEXT)) as context:
                found[name] = context.generate(QUESTIONS, max_new_tokens=4)
        return found

    assert answers(NAMES) == answers(NAMES[::-1])


def test_logits_are_those_of_a_cpu(device: str, tiny_llama_folder: Path) -> None:
    """In float32 the device computes what a CPU computes."""
    import torch

    from gist.models.loading import load_model

    def logits(on: str) -> "torch.Tensor":
        lm = load_model(str(tiny_llama_folder), PROMPT, device=on, dtype="float32")
        ids = lm.ids([[*lm.prompt.before, *lm.tokenizer.encode(CONTEXT)]])  # (1, tokens)
        with torch.inference_mode():
            return lm.model(ids).logits.float().cpu()

    assert torch.allclose(logits(device), logits("cpu"), atol=LOGITS_TOLERANCE)


def test_held_bytes_are_those_of_the_entries(lm: "LanguageModel") -> None:
    """Full context holds 2 x layers x KV heads x head size x bytes a number, for each entry."""
    config, element = lm.model.config, lm.model.dtype.itemsize
    each = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * element
    entries = len(lm.prompt.before) + len(lm.tokenizer.encode(CONTEXT))
    with closing(opened("full", lm)) as built, closing(built.prepare(CONTEXT)) as context:
        assert context.held_bytes == each * entries


def test_the_peak_is_at_least_what_is_held(device: str, lm: "LanguageModel") -> None:
    """The device's own counter sees the entries of a context."""
    from harness.memory import memory_of

    memory = memory_of(device)
    assert memory.kind == ("cuda_allocated" if device == "cuda" else "cpu_rss")
    with closing(opened("full", lm)) as built:
        memory.reset()
        before = memory.used_bytes() or 0
        with closing(built.prepare(CONTEXT * 8)) as context:
            memory.synchronize()
            grown = (memory.peak_bytes() or 0) - before
            assert grown >= context.held_bytes or device == "cpu"  # a process has room to spare
            assert memory.peak_bytes()


def test_a_run_passes_its_checks_on_the_device(
    device: str, gist_bench: "GistBench", tmp_path: Path
) -> None:
    """The shipped model and its adapter run as on a CPU, and every validity check passes."""
    done = gist_bench(
        "run", "--device", device, "--dtype", "float32", "--suite", "qa,documents=2,questions=2",
        "--backend", "full", "--backend", "gist", "--out", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    (folder,) = tmp_path.iterdir()
    run = json.loads((folder / "run.json").read_text())
    checks = [check for group in run["proofs"] for check in group["proofs"]]
    assert checks
    assert all(check["passed"] for check in checks), checks


def test_what_does_not_fit_is_a_row_and_the_next_backend_runs(
    device: str, gist_bench: "GistBench", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory at the larger size ends the sweep of that backend alone."""
    from gist.models import memory, model
    from gist.models.loading import load_model

    weights = load_model("reference", PROMPT, device=device).model.get_memory_footprint()
    small, large = 64, 3500  # the reference model has 4,096 positions
    monkeypatch.setattr(model, "WORTH_CHECKING_BYTES", 0)
    monkeypatch.setattr(memory, "free_bytes", lambda _: 10 * weights)
    done = gist_bench(
        "run", "--device", device, "--dtype", "float32", "--suite",
        f"vram,tokens={small}+{large},contexts=1", "--backend", "full", "--backend", "truncate",
        "--out", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    (folder,) = tmp_path.iterdir()
    with (folder / "records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["backend"], row["tokens"]): row["error"] for row in rows}
    assert found["full", str(large)] == "out_of_memory"
    assert found["full", str(small)] == "" == found["truncate", str(large)]
