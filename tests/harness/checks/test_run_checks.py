"""A run with gist backends checks their adapter first, and its tables show a failed check."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from click.testing import CliRunner

import gist.collator
from gist import compress
from gist.masks import packed_mask
from gist.models import memory
from harness.checks.run import check_adapters, run_checks
from harness.cli.run import command
from harness.run.choose import choose_backends, choose_suites
from harness.run.plan import Plan, Settings
from harness.run.planning import make_plan
from tests.support.tiny_adapter import save_tiny_adapter
from tests.support.tiny_models import load_tiny

if TYPE_CHECKING:
    from transformers import DynamicCache

    from gist.models.model import LanguageModel

SUITE = "qa,documents=1,people=1,facts=1,filler=0,max_new_tokens=2"


@pytest.fixture(scope="module")
def adapter(tiny_llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter for the tiny Llama."""
    return save_tiny_adapter(load_tiny(tiny_llama_folder), tmp_path_factory.mktemp("adapter"))


def keep_everything(cache: "DynamicCache", index: object) -> "DynamicCache":
    """Do what `gist.compress` must not: keep the entries of the context too."""
    del index
    return cache


def plan(lm: "LanguageModel", *backends: str) -> Plan:
    """Return a plan on one short document."""
    return make_plan(lm, choose_suites([SUITE]), choose_backends(backends), Settings())


def test_each_adapter_is_checked_once(tiny_llama: "LanguageModel", adapter: Path) -> None:
    """The check covers all backends that compress with it, but none without gists or untrained."""
    gist = f"gist,checkpoint={adapter}"
    backends = (gist, f"{gist},ratio=4", f"shuffled({gist})", f"{gist},untrained=true")
    others = (f"full,adapter=on,checkpoint={adapter}", "truncate")
    (checked,) = check_adapters(tiny_llama, plan(tiny_llama, *others, *backends))
    assert checked["backends"] == list(backends[:3])
    assert [check["passed"] for check in checked["proofs"]] == [True] * 4
    assert not list(check_adapters(tiny_llama, plan(tiny_llama, *others, backends[3])))


def leaky_from(tokens: int) -> Callable[..., torch.Tensor]:
    """Return a mask that lets questions see the context, once it is longer than `tokens`."""

    def mask(segments: torch.Tensor, *, see_context: bool, see_before: bool = True) -> torch.Tensor:
        is_long = int((segments == 1).sum(-1).max()) > tokens
        return packed_mask(segments, see_context=see_context or is_long, see_before=see_before)

    return mask


@pytest.mark.parametrize("free", [2**40, 40 * 2**20], ids=["all of it", "a part"])
def test_the_mask_is_checked_at_the_longest_context_that_fits(
    tiny_llama: "LanguageModel", adapter: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    """A fault that begins with length is seen; how long a context was looked at is said."""
    monkeypatch.setattr(memory, "usable_bytes", lambda _: free)
    suite = choose_suites(["qa,documents=2,filler=2,people=2,max_new_tokens=2"])
    backends = choose_backends([f"gist,checkpoint={adapter}"])
    ready = make_plan(tiny_llama, suite, backends, Settings())
    most = max(len(tiny_llama.tokenizer.encode(sample.context)) for sample in ready.jobs[0].samples)
    (checked,) = check_adapters(tiny_llama, ready)
    mask = checked["proofs"][0]
    (looked_at,) = (int(word) for word in mask["detail"].split() if word.isdecimal())
    assert mask["passed"]
    assert looked_at == most if free > 2**30 else 128 < looked_at < most
    monkeypatch.setattr(gist.collator, "packed_mask", leaky_from(looked_at - 1))
    (checked,) = check_adapters(tiny_llama, ready)
    assert [check["name"] for check in checked["proofs"] if not check["passed"]] == ["mask blocks"]


@pytest.mark.parametrize(
    "name", ["hybrid,embedder=bm25", "gist_store,embedder=bm25", "hierarchical"]
)
def test_backends_made_of_gists_are_checked_without_a_plain_one(
    tiny_llama: "LanguageModel", adapter: Path, name: str
) -> None:
    """Passages, segments or gists of gists: each is checked as a plain gist backend is."""
    kind, *options = name.split(",")
    backend = ",".join([kind, f"checkpoint={adapter}", *options])
    (checked,) = check_adapters(tiny_llama, plan(tiny_llama, "full", backend))
    assert checked["backends"] == [backend]
    assert [check["passed"] for check in checked["proofs"]] == [True] * 4


def test_a_check_that_cannot_run_is_reported(
    tiny_llama: "LanguageModel", adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that runs out while checking does not stop the run, and is not called a pass."""
    ready = plan(tiny_llama, f"gist,checkpoint={adapter}")

    def fail(cache: object, index: object) -> None:
        del cache, index
        raise MemoryError("no room")

    monkeypatch.setattr(compress, "select", fail)
    checked, as_run = run_checks(tiny_llama, ready)
    assert checked["not_run"] == "no room"
    assert "proofs" not in checked
    assert as_run["not_run"] == "no room"


@pytest.mark.parametrize("faulty", [False, True])
def test_the_tables_of_a_run_show_its_checks(
    tiny_llama_folder: Path,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    faulty: bool,
) -> None:
    """With a cache that keeps everything, a check fails and the backend's figures are marked."""
    if faulty:
        monkeypatch.setattr(compress, "select", keep_everything)
    words = f"--backend gist,checkpoint={adapter} --backend full --suite {SUITE}"
    places = f"--model {tiny_llama_folder} --out {tmp_path}"
    ran = CliRunner().invoke(command, [*words.split(), *places.split()])
    assert ran.exit_code == 0, ran.output
    (path,) = tmp_path.glob("*/run.json")
    checked, gist, full = json.loads(path.read_text())["proofs"]
    assert [entry["backends"] for entry in (gist, full)] == [checked["backends"], ["full"]]
    assert all(check["passed"] for check in full["proofs"])
    assert all(check["passed"] for check in gist["proofs"]) is not faulty
    failed = {check["name"] for check in checked["proofs"] if not check["passed"]}
    assert bool(failed) == faulty
    assert ("cached tokens" in failed) == faulty
    assert ("FAIL" in ran.stdout) == faulty
    assert ("(INVALID)" in ran.stdout.partition("Reading the tables")[0]) == faulty
    assert "mask blocks" in ran.stdout.partition("Answers")[0]
