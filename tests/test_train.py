"""Training: what it optimises, how it goes on, and what it leaves behind."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gist.adapter import attached
from gist.checkpoint import read_card
from gist.curriculum import Curriculum, Item, Stage
from gist.errors import GistError
from gist.model import LanguageModel
from gist.recipe import AdapterRecipe, train_adapter

RECIPE = AdapterRecipe(rows=8, rank=4, alpha=8, lr=1e-3, bf16=False, save_steps=3)


def items(seed: int) -> Iterator[Item]:
    """Contexts that differ by seed, with two questions each."""
    for number in range(100):
        value = (seed + number) % 90 + 10
        yield f"The key is {value}. The door is shut.", [("Which key?", str(value)), ("Door?", "x")]


def stages(steps: int) -> list[Stage]:
    """One stage with and one without gists."""
    return [
        Stage("plain", {"keys": 1.0}, max_steps=2, batch_tokens=1200),
        Stage("gists", {"keys": 1.0}, max_steps=steps - 2, batch_tokens=1200, ratios=(4.0, 8.0)),
    ]


def trained(lm: LanguageModel, output: Path, *, steps: int, resume: bool = False) -> Path:
    """Train a tiny adapter and return its folder."""
    return train_adapter(
        lm,
        {"keys": items},
        RECIPE,
        stages=stages(steps),
        output=output,
        seed=5,
        resume=resume,
        about={"sources": {"keys": "made up"}},
    )


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def test_a_resumed_training_equals_an_uninterrupted_one(
    tiny_llama: LanguageModel, tmp_path: Path
) -> None:
    """The same parameters come out, bit for bit."""
    whole = _weights(trained(tiny_llama, tmp_path / "whole", steps=6))
    trained(tiny_llama, tmp_path / "halves", steps=6)
    for stale in (tmp_path / "halves").glob("checkpoint-6"):
        (stale / "curriculum.json").unlink()  # as a kill between the two files would leave it
    resumed = _weights(trained(tiny_llama, tmp_path / "halves", steps=6, resume=True))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_training_changes_lora_and_gist_rows_alone(
    tiny_qwen3: LanguageModel, tmp_path: Path
) -> None:
    """The base model is bit for bit what it was; the adapter is not what it started from."""
    before = {name: tensor.clone() for name, tensor in tiny_qwen3.model.state_dict().items()}
    folder = trained(tiny_qwen3, tmp_path / "out", steps=5)
    after = tiny_qwen3.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    weights = _weights(folder)
    assert any("gist_rows" in name for name in weights)
    assert all(weights[name].abs().max() > 0 for name in weights if "lora_B" in name)


def test_an_adapter_loads_on_its_own_base_alone(
    tiny_llama: LanguageModel, tiny_qwen3: LanguageModel, tmp_path: Path
) -> None:
    """Another model is refused in one line that names both."""
    folder = trained(tiny_llama, tmp_path / "out", steps=3)
    with attached(tiny_llama, folder) as card:
        assert card.plan == RECIPE.plan
    with pytest.raises(GistError, match="was trained on") as refused, attached(tiny_qwen3, folder):
        pass
    assert tiny_llama.fingerprint in str(refused.value)
    assert tiny_qwen3.fingerprint in str(refused.value)


def test_a_checkpoint_says_how_it_was_made(tiny_llama: LanguageModel, tmp_path: Path) -> None:
    """Ratios, stages, sources and versions stand in its card."""
    card = read_card(trained(tiny_llama, tmp_path / "out", steps=3))
    assert card.ratios == (4.0, 8.0)
    assert card.training["sources"] == {"keys": "made up"}
    assert card.training["steps"] == 3
    assert "torch" in card.training["versions"]
    json.dumps(dict(card.training))


def test_a_stage_ends_when_it_is_passed() -> None:
    """Enough right answers from every source, or the last step, lead to the next stage."""
    quick = Stage("quick", {"a": 1.0, "b": 1.0}, max_steps=100, pass_at=0.9)
    slow = Stage("slow", {"a": 1.0}, max_steps=3)
    curriculum = Curriculum([quick, slow], {"a": items, "b": items}, seed=0)

    def step(source: str, right: float) -> None:
        curriculum.note(source, right)
        curriculum.advance()

    step("a", 1.0)
    assert curriculum.stage is quick  # nothing is known of b yet
    step("b", 0.5)
    assert curriculum.stage is quick
    while curriculum.stage is quick:
        step("b", 1.0)
    assert curriculum.progress.stage_step == 0
    for _ in range(3):
        step("a", 0.0)
    assert curriculum.done


def test_training_without_gists_is_refused(tiny_llama: LanguageModel, tmp_path: Path) -> None:
    """Stages without ratios would train an adapter that compresses nothing."""
    with pytest.raises(GistError, match="ratios"):
        train_adapter(
            tiny_llama,
            {"keys": items},
            RECIPE,
            stages=stages(3)[:1],
            output=tmp_path / "out",
            seed=0,
            resume=False,
            about={},
        )
