"""Controls: what a gist has to beat, and that each of them is what it says."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.full import Full
from backends.gist import Gist
from backends.mean_pool import MeanPool
from tests.tiny_adapter import save_tiny_adapter

if TYPE_CHECKING:
    from gist.model import LanguageModel

CONTEXT = "The amber harp is in hall 7. The red cup is in hall 4. A boat left. Mira has room 12."
QUESTIONS = ["Which hall holds the harp?", "Room of Mira?"]


def entries(state: object) -> list[list["torch.Tensor"]]:
    """Return the keys and values of each layer of a prepared context."""
    return [[layer.keys, layer.values] for layer in state.state.cache.layers]


def test_groups_of_one_entry_are_the_full_cache(tiny_model: "LanguageModel") -> None:
    """Pooled to as many entries as there are, keys and values are what the model has read."""
    import torch

    pooled = MeanPool(tiny_model, ratio=1).prepare(CONTEXT)
    full = Full(tiny_model).prepare(CONTEXT)
    for mine, theirs in zip(entries(pooled), entries(full), strict=True):
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    asked = {"max_new_tokens": 8}
    assert pooled.generate(QUESTIONS, **asked) == full.generate(QUESTIONS, **asked)


def test_equal_tokens_are_averaged_without_their_positions(tiny_model: "LanguageModel") -> None:
    """In the first layer a key is a token turned by its position: its mean is that token's key."""
    import torch

    text = "a" * 12  # one token per byte
    ((keys, values), *_) = entries(MeanPool(tiny_model, tokens=3).prepare(text))
    ((read, theirs), *_) = entries(Full(tiny_model).prepare(text))
    start = len(tiny_model.prompt.before)
    assert keys.shape[2] == start + 3
    inside = [start + at for at in (2, 6, 10)]  # the middles of groups of four
    torch.testing.assert_close(keys[:, :, start:], read[:, :, inside], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(values[:, :, start:], theirs[:, :, inside], atol=1e-5, rtol=1e-5)
    straw = read[:, :, start:].unflatten(2, (3, 4)).mean(3)
    assert not torch.allclose(keys[:, :, start:], straw, atol=1e-2)


def test_pooling_keeps_before_and_the_positions_that_follow(tiny_model: "LanguageModel") -> None:
    """What stands before the context is kept as it is; questions stand where they would stand."""
    import torch

    pooled = MeanPool(tiny_model, tokens=5).prepare(CONTEXT)
    full = Full(tiny_model).prepare(CONTEXT)
    start = len(tiny_model.prompt.before)
    for mine, theirs in zip(entries(pooled), entries(full), strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert torch.equal(one[:, :, :start], other[:, :, :start])
    assert pooled.state.next_position == full.state.next_position
    assert pooled.state.entries == start + 5
    assert pooled.held_bytes == full.held_bytes * (start + 5) // full.state.entries


@pytest.mark.parametrize("embeddings", ["trained", "random"])
def test_random_embeddings_change_the_gists_alone(
    tiny_model: "LanguageModel", tmp_path: Path, embeddings: str
) -> None:
    """With random embeddings the LoRA weights are the trained ones; the gist rows are not."""
    import torch
    from safetensors.torch import load_file

    folder = save_tiny_adapter(tiny_model, tmp_path / "adapter")
    trained = load_file(folder / "adapter_model.safetensors")
    backend = Gist(tiny_model, checkpoint=folder, embeddings=embeddings)
    now = dict(tiny_model.model.named_parameters())
    found = {}
    for name, value in trained.items():
        own = name.removeprefix("base_model.model.").replace(".weight", ".default.weight")
        own = own.replace("gist_rows.default", "gist_rows.modules_to_save.default")
        found[name] = torch.equal(now[own], value)
    backend.close()
    rows = [name for name in found if "gist_rows" in name]
    assert len(rows) == 1
    assert found[rows[0]] == (embeddings == "trained")
    assert all(same for name, same in found.items() if name not in rows)
