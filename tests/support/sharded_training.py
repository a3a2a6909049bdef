"""A training, in one process, sharded over those of torchrun, or with a copy in each.

    torchrun --nproc-per-node=2 -m tests.support.sharded_training MODEL OUTPUT

Sharding is accelerate's own, by the configuration that is shipped: accelerate itself leaves it out
where there is no GPU, and is told that there are some. In each step process n learns from batch n,
as in a training; one process learns from the mean loss of the batches.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import yaml
from accelerate import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from torch import distributed
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from gist.adapter import added, save
from gist.collator import Example
from gist.forward import forward_for
from gist.layout import GistPlan
from gist.lora import LoraOptions
from gist.models.loading import load_model
from gist.models.model import LanguageModel
from gist.models.nf4 import prepare_for_training
from gist.training.configuration import LossWeights
from gist.training.step import TrainingStep
from harness.api import PROMPT
from tests.gist.training.tiny_training import STAGES, train_tiny
from tests.support.paths import ROOT

PROCESSES, STEPS = 2, 4
RECIPE: dict[str, Any] = {
    "stages": [replace(STAGES[0], max_steps=STEPS)],  # where one ends, processes have read ahead
    "patience": 9,
    "eval_steps": 2,
    "distillation": 0.5,
    "gradient_checkpointing": True,
}
KINDS = ("float64", "nf4")  # sharded
COPIES = "copies"  # DDP, of two passes; some processes have a step in one
PLAN = GistPlan(rows=8, segment_tokens=16)
WEIGHTS = LossWeights(distillation=0.5, reconstruction=0.3)


def train(folder: str, kind: str, output: Path, *, rank: int | None = None) -> dict[str, Any]:
    """Train, and return losses and how many numbers of the parameters a process keeps."""
    plan = GistPlan(rows=3, placement="residual") if kind == COPIES else PLAN
    lm = load(folder, kind)
    with added(lm.model, plan, LoraOptions(rank=4, alpha=8), seed=1) as adapted:
        prepare_for_training(adapted)
        whole = _count(adapted)
        model: Any = adapted
        if rank is not None and kind == COPIES:
            model = DistributedDataParallel(adapted, find_unused_parameters=True)
        elif rank is not None:
            _shard(adapted)
        adam = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
        step = TrainingStep(forward_for(lm, plan), WEIGHTS)
        losses = [_step(model, step, adam, number, rank, kind) for number in range(STEPS)]
        save(adapted, output)
        return {"losses": losses, "whole": whole, "held": _count(adapted)}


def train_recipe(lm: LanguageModel, output: Path, *, processes: int, resume: bool = False) -> Path:
    """Train as train-gist does; return the adapter."""
    accumulation = PROCESSES // processes
    return train_tiny(lm, output, resume=resume, accumulation=accumulation, **RECIPE)


def train_and_resume(folder: str, kind: str, output: Path) -> dict[str, int]:
    """Train, take away what came after the first checkpoint, and go on from there.

    `whole` and `resumed` are made below `output`. Returns how many numbers of the layers'
    parameters a process keeps, before it shares them and afterwards.
    """
    model, whole, resumed = load(folder, kind), output / "whole", output / "resumed"
    layers: Any = model.model.get_decoder().layers
    before = _count(layers)
    train_recipe(model, whole, processes=PROCESSES)
    held = _count(layers)
    distributed.barrier()
    if distributed.get_rank() == 0:
        shutil.copytree(whole, resumed)
        for made in ("adapter", "best", f"checkpoint-{STEPS}"):
            shutil.rmtree(resumed / made)
    distributed.barrier()
    train_recipe(load(folder, kind), resumed, processes=PROCESSES, resume=True)
    return {"whole": before, "held": held}


@contextmanager
def as_on_gpus() -> Iterator[None]:
    """Let accelerate shard by the shipped file on a CPU: it does so on GPUs alone."""
    begin = PartialState.__init__

    def begin_on_gpus(state: Any, *args: Any, **kwargs: Any) -> None:
        begin(state, *args, **kwargs)
        if state.distributed_type == DistributedType.MULTI_CPU:
            state.distributed_type = DistributedType.MULTI_GPU

    launched = {name.upper(): str(value) for name, value in _shipped().items()}
    with (
        patch.dict(os.environ, launched, ACCELERATE_USE_FSDP="true"),
        patch.object(PartialState, "__init__", begin_on_gpus),
        patch("gist.training.preparation.check_sharding"),  # which refuses it on a CPU
    ):
        yield


def load(folder: str, kind: str) -> LanguageModel:
    """Load a model as a kind of training wants it."""
    loaded = {"dtype": "float32", "load_in_4bit": True} if kind == "nf4" else {"dtype": "float64"}
    return load_model(folder, PROMPT, device="cpu", **loaded)


def _step(
    model: Any,
    step: TrainingStep,
    adam: torch.optim.Optimizer,
    number: int,
    rank: int | None,
    kind: str,
) -> float:
    batches = range(PROCESSES) if rank is None else [rank]
    seeds = [PROCESSES * number + batch for batch in batches]
    plain = {seed for seed in seeds if kind == COPIES and seed % 3 == 1}
    results = [step(model, examples(seed, gists=0 if seed in plain else 4)) for seed in seeds]
    loss = torch.stack([result.loss for result in results]).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    adam.step()
    adam.zero_grad()
    mean = loss.detach()
    if rank is not None:
        distributed.all_reduce(mean)
        mean /= PROCESSES
    return float(mean)


def examples(seed: int, *, gists: int) -> list[Example]:
    """Two contexts with two questions each, drawn by a seed."""
    generator = torch.Generator().manual_seed(seed)

    def draw(size: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 250, (size,), generator=generator).tolist())

    def example(size: int) -> Example:
        context, asked = draw(size), tuple((draw(5), draw(3)) for _ in range(2))
        return Example(context, asked, gists, snippets=((context[:2], context[2:6]),) * bool(gists))

    return [example(40), example(33)]


def _shard(adapted: torch.nn.Module) -> None:
    given = _shipped()
    version, offload = given.pop("fsdp_version"), given.pop("fsdp_offload_params")
    options = {name.removeprefix("fsdp_"): value for name, value in given.items()}
    plugin = FullyShardedDataParallelPlugin(version, cpu_offload=offload, **options)
    state = SimpleNamespace(fsdp_plugin=plugin)
    accelerator = SimpleNamespace(state=state, mixed_precision="no", is_main_process=True)
    fsdp2_prepare_model(accelerator, adapted)


def _shipped() -> dict[str, Any]:
    file = yaml.safe_load((ROOT / "gist/training/fsdp.yaml").read_text())
    return dict(file["fsdp_config"])


def _count(model: torch.nn.Module) -> int:
    """Return how many numbers of its parameters a process holds."""
    held = (p.to_local() if isinstance(p, DTensor) else p for p in model.parameters())
    return sum(each.numel() for each in held)


if __name__ == "__main__":
    distributed.init_process_group("gloo")
    number, output = distributed.get_rank(), Path(sys.argv[2])
    os.environ["ACCELERATE_USE_FSDP"] = "true"  # as accelerate sets it; it stores 4 bits as floats
    results = {
        each: train(sys.argv[1], each, output / each, rank=number) for each in (*KINDS, COPIES)
    }
    del os.environ["ACCELERATE_USE_FSDP"]
    with as_on_gpus():
        for each in KINDS:
            place = output / f"recipe-{each}"
            results[place.name] = train_and_resume(sys.argv[1], each, place)
    (output / f"{number}.json").write_text(json.dumps(results))
    distributed.destroy_process_group()
