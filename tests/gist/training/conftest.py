"""Trainings of a tiny adapter, each distinct one made once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from gist.models.model import LanguageModel
from tests.gist.training.tiny_training import train_tiny, weights
from tests.support.tiny_models import load_tiny

Trained = Callable[..., Mapping[str, torch.Tensor]]


@pytest.fixture(scope="package")
def uninterrupted(
    tiny_llama_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Gives the output folder of a training with some options; tests must not write into it."""
    made: dict[str, Path] = {}

    def output(**changed: Any) -> Path:
        key = repr(sorted(changed.items()))
        if key not in made:
            lm: LanguageModel = load_tiny(tiny_llama_folder)
            made[key] = tmp_path_factory.mktemp("trained") / "out"
            train_tiny(lm, made[key], **changed)
        return made[key]

    return output


@pytest.fixture
def tiny_weights(uninterrupted: Callable[..., Path]) -> Trained:
    """Gives the tensors of a training with some options."""
    return lambda **changed: weights(uninterrupted(**changed) / "adapter")
