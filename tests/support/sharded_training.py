"""A training, in one process, sharded over those of torchrun, or with a copy in each.

    torchrun --nproc-per-node=2 -m tests.support.sharded_training MODEL OUTPUT

Sharding is accelerate's own, by the configuration that is shipped: accelerate itself leaves it out
where there is no GPU. In each step process n learns from batch n, as in a training; one process
learns from the mean loss of the batches.
"""

import json
import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import yaml
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from torch import distributed
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers import TrainingArguments

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
from gist.training.train import CurriculumTrainer
from gist.training.train import train as recipe_train
from harness.api import PROMPT
from tests.gist.training.tiny_training import STAGES, train_tiny
from tests.support.paths import ROOT
from tests.support.tiny_models import load_tiny

PROCESSES, STEPS = 2, 4
RECIPE: dict[str, Any] = {
    "stages": [replace(STAGES[0], max_steps=4)],  # where one ends, processes have read ahead
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
    loaded = {"dtype": "float32", "load_in_4bit": True} if kind == "nf4" else {"dtype": "float64"}
    plan = GistPlan(rows=3, placement="residual") if kind == COPIES else PLAN
    lm = load_model(folder, PROMPT, device="cpu", **loaded)
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


def train_recipe(lm: LanguageModel, output: Path, *, sharded: bool) -> Path:
    """Train as train-gist does, sharded where accelerate would do it; return the adapter."""

    def train(model: Any, *given: Any) -> None:
        _shard(model)
        model.is_distributed_loading_by_transformers = True  # else accelerate makes it DDP
        arguments = partial(TrainingArguments, save_only_model=True)  # which such a model wants
        with (
            patch("gist.training.train.TrainingArguments", arguments),
            patch.object(CurriculumTrainer, "_save_checkpoint", _checkpoint),  # accelerate's part
        ):
            recipe_train(model, *given)

    with patch("gist.training.recipe.train", train) if sharded else nullcontext():
        return train_tiny(lm, output, accumulation=1 if sharded else PROCESSES, **RECIPE)


def _checkpoint(trainer: Any, model: Any, _: Any) -> None:
    save(model, Path(trainer.args.output_dir) / f"checkpoint-{trainer.state.global_step}")


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
    given = yaml.safe_load((ROOT / "gist/training/fsdp.yaml").read_text())["fsdp_config"]
    version, offload = given.pop("fsdp_version"), given.pop("fsdp_offload_params")
    options = {name.removeprefix("fsdp_"): value for name, value in given.items()}
    plugin = FullyShardedDataParallelPlugin(version, cpu_offload=offload, **options)
    state = SimpleNamespace(fsdp_plugin=plugin)
    accelerator = SimpleNamespace(state=state, mixed_precision="no", is_main_process=True)
    fsdp2_prepare_model(accelerator, adapted)


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
    del os.environ["ACCELERATE_USE_FSDP"]  # which train-gist refuses on a CPU
    train_recipe(load_tiny(Path(sys.argv[1])), output / "recipe", sharded=True)
    (output / f"{number}.json").write_text(json.dumps(results))
    distributed.destroy_process_group()
