"""An adapter is loaded whole or refused by name, and its hash covers all that decides an answer."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gist.adapter import added, attached
from gist.checkpoint import CONFIG, WEIGHTS, file_hash
from gist.layout import GistPlan
from gist.lora import LoraOptions
from gist.models.model import LanguageModel
from harness.errors import UserError
from tests.support.tiny_adapter import save_tiny_adapter

Tensors = dict[str, torch.Tensor]
LAYER = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.fixture
def adapter(tiny_llama: LanguageModel, tmp_path: Path) -> Path:
    """An adapter for the tiny model."""
    return save_tiny_adapter(tiny_llama, tmp_path / "adapter")


def without_lora(tensors: Tensors) -> Tensors:
    """Keep the gist embeddings alone."""
    return {name: tensor for name, tensor in tensors.items() if "lora" not in name}


def without_gists(tensors: Tensors) -> Tensors:
    """Keep LoRA alone."""
    return {name: tensor for name, tensor in tensors.items() if "gist_rows" not in name}


def with_another_layer(tensors: Tensors) -> Tensors:
    """Add a tensor for a layer that the model does not have."""
    return {**tensors, LAYER.replace("layers.0", "layers.9"): tensors[LAYER].clone()}


def with_another_rank(tensors: Tensors) -> Tensors:
    """Cut one tensor to a smaller rank."""
    return {**tensors, LAYER: tensors[LAYER][:1].clone()}


def with_nan(tensors: Tensors) -> Tensors:
    """Spoil one number."""
    spoilt = tensors[LAYER].clone()
    spoilt[0, 0] = torch.nan
    return {**tensors, LAYER: spoilt}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_lora, r"layers\.0\.mlp|layers\.0\.self_attn\.\w+\.lora_A\.weight is missing"),
        (without_gists, r"gist_rows\.weight is missing"),
        (with_another_layer, r"layers\.9\S+ belongs to no part"),
        (with_another_rank, r"layers\.0\S+ has shape \[1, 32\], not \[2, 32\]"),
        (with_nan, r"layers\.0\S+ holds numbers that are not finite"),
    ],
)
def test_tensors_that_are_not_the_adapters_are_refused(
    tiny_llama: LanguageModel, adapter: Path, change: Callable[[Tensors], Tensors], message: str
) -> None:
    """Missing, extra, misshapen and non-finite tensors are named; the model stays as it was."""
    modules = [name for name, _ in tiny_llama.model.named_modules()]
    save_file(change(load_file(adapter / WEIGHTS)), adapter / WEIGHTS)
    with pytest.raises(UserError, match=message) as refused, attached(tiny_llama, adapter):
        pass
    assert str(adapter) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [name for name, _ in tiny_llama.model.named_modules()] == modules


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("content", [None, b"{", b"[]"])
def test_a_damaged_file_is_one_line(
    tiny_llama: LanguageModel, adapter: Path, name: str, content: bytes | None
) -> None:
    """A configuration or weights that cannot be read are refused by the folder's name."""
    (adapter / name).unlink()
    if content is not None:
        (adapter / name).write_bytes(content)
    with pytest.raises(UserError, match="cannot be loaded") as refused:
        attached(tiny_llama, adapter).__enter__()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("embeddings", ["rows", "full"])
def test_an_adapter_of_either_kind_comes_back_as_it_was_saved(
    tiny_model: LanguageModel, tmp_path: Path, embeddings: str
) -> None:
    """Logits with gists are those of the adapter in memory, to the bit."""
    plan = GistPlan(rows=4)
    folder = save_tiny_adapter(tiny_model, tmp_path)
    card = json.loads((folder / "gist.json").read_text())
    (folder / "gist.json").write_text(json.dumps({**card, "plan": {"rows": 4}}))
    size = len(tiny_model.model.get_input_embeddings().weight)  # type: ignore[arg-type]
    ids = tiny_model.ids([[10, 11, size, size + 3, 12]])
    options = LoraOptions(rank=2, alpha=4)
    with added(tiny_model.model, plan, options, seed=1, embeddings=embeddings) as adapted:  # type: ignore[arg-type]
        for number, parameter in enumerate(p for p in adapted.parameters() if p.requires_grad):
            parameter.data.add_(0.01 * (number + 1))
        adapted.save_pretrained(str(folder), save_embedding_layers=False)
        adapted.eval()
        with torch.inference_mode():
            expected = tiny_model.model(ids).logits
    with attached(tiny_model, folder), torch.inference_mode():
        assert torch.equal(tiny_model.model(ids).logits, expected)


def test_the_hash_covers_all_that_decides_an_answer(adapter: Path, tmp_path: Path) -> None:
    """Another scale of LoRA is another adapter, though its weights are the same."""
    other = tmp_path / "other"
    shutil.copytree(adapter, other)
    assert file_hash(other) == file_hash(adapter)
    config = json.loads((other / CONFIG).read_text())
    (other / CONFIG).write_text(json.dumps({**config, "lora_alpha": 1}))
    assert file_hash(other) != file_hash(adapter)
