"""Training with the weights sharded over processes, as accelerate's FSDP does it on GPUs."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gist.layout import GistPlan
from gist.training.checks import check_checkpoint, check_sharding
from gist.training.curriculum_options import Stage
from harness.errors import UserError
from tests.gist.training.tiny_training import same, weights
from tests.support.paths import ROOT
from tests.support.sharded_training import (
    COPIES,
    KINDS,
    PROCESSES,
    STEPS,
    load,
    train,
    train_recipe,
)

if TYPE_CHECKING:
    from gist.models.model import LanguageModel


@pytest.fixture(scope="module")
def sharded(tiny_llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made that shared the weights."""
    output = tmp_path_factory.mktemp("sharded")
    words = [
        f"--nproc-per-node={PROCESSES}",
        "--standalone",
        "-m",
        "tests.support.sharded_training",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words, tiny_llama_folder, output],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    return output


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_sharded_steps_have_the_losses_of_one_process(
    sharded: Path,
    tiny_llama_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """Each process keeps half of the weights, 4-bit ones too; what is learnt is the same."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")  # stores 4 bits as they are sharded
    one = train(str(tiny_llama_folder), kind, tmp_path)
    assert one["held"] == one["whole"]
    assert len(set(one["losses"])) == len(one["losses"])
    for rank in range(PROCESSES):
        found = json.loads((sharded / f"{rank}.json").read_text())[kind]
        assert found["whole"] == one["whole"]
        assert found["held"] <= 0.51 * one["whole"]
        assert found["losses"] == pytest.approx(one["losses"], rel=1e-4)
    _assert_close(weights(sharded / kind), weights(tmp_path))


@pytest.mark.slow
def test_copies_of_the_model_learn_what_one_process_does(
    sharded: Path, tiny_llama_folder: Path, tmp_path: Path
) -> None:
    """Also where a step has two passes in one process and one in the other (DDP)."""
    one = train(str(tiny_llama_folder), COPIES, tmp_path)
    for rank in range(PROCESSES):
        found = json.loads((sharded / f"{rank}.json").read_text())[COPIES]
        assert found["losses"] == pytest.approx(one["losses"], rel=1e-9)
    _assert_close(weights(sharded / COPIES), weights(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_sharded_training_makes_the_adapter_of_one_process(
    sharded: Path,
    tiny_llama_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """From the first step to the stored adapter, with log, curve and the best adapter put back."""
    with monkeypatch.context() as launched:
        launched.setenv("ACCELERATE_USE_FSDP", "true")  # stores 4 bits as they are sharded
        model = load(str(tiny_llama_folder), kind)
    folder = train_recipe(model, tmp_path / "out", processes=1)
    whole = sharded / f"recipe-{kind}" / "whole"
    for rank in range(PROCESSES):
        found = json.loads((sharded / f"{rank}.json").read_text())[f"recipe-{kind}"]
        assert found["held"] <= 0.51 * found["whole"]
    for name in ("log.csv", "heldout.csv"):
        _assert_near(_numbers(tmp_path / "out" / name), _numbers(whole / name))
    _assert_close(weights(whole / "adapter"), weights(folder))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_sharded_training_equals_an_uninterrupted_one(sharded: Path, kind: str) -> None:
    """The same log, curve and adapter, from a checkpoint in the middle that accelerate wrote."""
    whole, resumed = (sharded / f"recipe-{kind}" / name for name in ("whole", "resumed"))
    for name in ("log.csv", "heldout.csv"):
        assert _numbers(resumed / name) == _numbers(whole / name)
    assert same(weights(resumed / "adapter"), weights(whole / "adapter"))
    first, last = (whole / f"checkpoint-{step}" for step in (2, STEPS))
    assert not same(weights(first), weights(last))


def _assert_near(one: list[dict[str, float]], two: list[dict[str, float]]) -> None:
    assert len(one) == len(two) >= 2
    for mine, other in zip(one, two, strict=True):
        assert other == pytest.approx(mine, rel=1e-3, abs=1e-4)


def _numbers(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    left = {"seconds", "stage", "right"}
    return [{k: float(v) for k, v in row.items() if v and k not in left} for row in rows]


def _assert_close(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor.float(), other[name].float(), rtol=1e-3, atol=1e-4)


def test_a_checkpoint_is_resumed_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of FSDP is refused without it, another one with it, each in a line that says so."""
    check_checkpoint(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match="written without FSDP"):
        check_checkpoint(tmp_path)
    (tmp_path / "pytorch_model_fsdp.bin").touch()
    check_checkpoint(tmp_path)
    monkeypatch.delenv("ACCELERATE_USE_FSDP")
    with pytest.raises(UserError, match="written with FSDP"):
        check_checkpoint(tmp_path)


def test_sharding_is_refused_where_it_would_not_be_done(
    tiny_llama: "LanguageModel", monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU accelerate would leave a whole copy in every process; two passes cannot do it."""
    check_sharding(tiny_llama, GistPlan(rows=8), [])
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match="this is a CPU"):
        check_sharding(tiny_llama, GistPlan(rows=8), [])
    monkeypatch.setattr(type(tiny_llama), "device", "cuda")
    check_sharding(tiny_llama, GistPlan(rows=8), [])
    with pytest.raises(UserError, match="two passes"):
        check_sharding(tiny_llama, GistPlan(rows=0, placement="pool"), [])
    stage = Stage("joined", {"all": 1.0}, max_steps=1, ratios=(4.0,), window_tokens=(0, 256))
    with pytest.raises(UserError, match="'joined': window_tokens is trained in two passes"):
        check_sharding(tiny_llama, GistPlan(rows=8), [stage])
