"""A training of six steps on a tiny model, with any option changed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file

from gist.models.model import LanguageModel
from gist.training.configuration import TrainingConfiguration, read_configuration
from gist.training.curriculum_options import Stage
from gist.training.recipe import train_adapter
from gist.training.stages import Item
from harness.run.training_data import Feed

SETTINGS = {
    "placement": "interleaved",
    "rows": 8,
    "rank": 4,
    "alpha": 8,
    "lr": 1e-2,
    "gist_lr": 1e-2,
    "bf16": False,
    "save_steps": 2,
    "seed": 5,
}
STAGES = (
    Stage("short", {"keys": 1.0}, max_steps=3, batch_tokens=600, ratios=(4.0, 8.0), plain=0.3),
    Stage("long", {"keys": 1.0}, max_steps=3, batch_tokens=600, tokens=(2, 3), snippets=1),
)
HELD: list[Item] = [(f"The key is {n}.", [("Which key?", str(n))]) for n in range(200, 204)]


def items(seed: int) -> Iterator[Item]:
    """Contexts that differ by seed, with two questions each."""
    for number in range(100):
        value = (seed + number) % 90 + 10
        yield f"The key is {value}. The door is shut.", [("Which key?", str(value)), ("Door?", "x")]


def configured(**changed: Any) -> TrainingConfiguration:
    """Return the configuration with some options changed."""
    stages = [
        {name: getattr(stage, name) for name in stage.__dataclass_fields__}
        for stage in changed.pop("stages", STAGES)
    ]
    return read_configuration({**SETTINGS, "stages": stages, **changed})


def train_tiny(lm: LanguageModel, output: Path, *, resume: bool = False, **changed: Any) -> Path:
    """Train a tiny adapter with some options changed, and return its folder."""
    with patch("gist.training.train.LOG_STEPS", 1):
        return train_adapter(
            lm,
            {"keys": Feed(items, HELD)},
            configured(**changed),
            output=output,
            resume=resume,
            data={"sources": {"keys": "made up"}},
        )


def weights(folder: Path) -> Mapping[str, torch.Tensor]:
    """Return the tensors of an adapter."""
    return load_file(folder / "adapter_model.safetensors")


def same(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    """Whether two adapters are equal bit for bit."""
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )
