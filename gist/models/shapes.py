"""Architectures with random weights, for measuring memory and time before anything is downloaded.

The weights are repeats of one random block: they cost what real ones cost and mean nothing. Every
linear layer of one shape holds the same 4-bit weights, since quantising billions of random numbers
on a CPU takes minutes. Whether the weights fit is computed first; if they do not, the model stays
on the meta device and every sample of it is refused for memory.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from gist.models import fit, nf4
from gist.models.architecture import check_supported, without_window
from gist.models.memory import check_fits
from harness.errors import OutOfMemory, UserError, reading

PREFIX = "shape:"
POSITIONS = 131_072  # a shape has at least as many: rotary positions need no weights
BLOCK = 1_000_003  # random numbers drawn once; prime, so that rows of a matrix differ
# Rotary embeddings whose frequencies do not depend on the number of positions.
FREE_OF_POSITIONS = ("default", "linear", "llama3")

_LLAMA_3 = {
    "model_type": "llama",
    "vocab_size": 128_256,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 128_000,
    "eos_token_id": 128_001,
}
_LLAMA_32 = {
    **_LLAMA_3,
    "intermediate_size": 8192,
    "max_position_embeddings": 131_072,
    "tie_word_embeddings": True,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
SHAPES: Mapping[str, Mapping[str, Any]] = {
    # meta-llama/Meta-Llama-3-8B-Instruct
    "llama-3-8b": {
        **_LLAMA_3,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "head_dim": 128,
        "max_position_embeddings": 8192,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
    },
    # meta-llama/Llama-3.2-1B-Instruct
    "llama-3.2-1b": {
        **_LLAMA_32,
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "head_dim": 64,
    },
    # meta-llama/Llama-3.2-3B-Instruct
    "llama-3.2-3b": {
        **_LLAMA_32,
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "head_dim": 128,
    },
    # Qwen/Qwen3-0.6B
    "qwen3-0.6b": {
        "model_type": "qwen3",
        "vocab_size": 151_936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40_960,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
        "bos_token_id": 151_643,
        "eos_token_id": 151_645,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
    },
}


def shape_config(name: str) -> PretrainedConfig:
    """Return the configuration that `shape:NAME` or `shape:PATH/config.json` stands for.

    Raises:
        UserError: for an unknown name, a file that is no configuration, or an unsupported model.
    """
    wanted = name.removeprefix(PREFIX)
    if wanted in SHAPES:
        settings = dict(SHAPES[wanted])
    elif wanted.endswith(".json"):
        settings = _read_settings(Path(wanted).expanduser())
    else:
        raise UserError(
            f"unknown shape {wanted!r}. Shapes: {', '.join(SHAPES)}, or shape:PATH/config.json."
        )
    config = _to_config(settings, name)
    check_supported(config, name)
    without_window(config)
    return config


def raise_positions(config: PretrainedConfig) -> bool:
    """Give `config` at least `POSITIONS` positions; say whether that changed it.

    Only where the position embedding has neither weights nor frequencies that depend on it.
    """
    kind = (getattr(config, "rope_parameters", None) or {}).get("rope_type")
    if kind not in FREE_OF_POSITIONS or config.max_position_embeddings >= POSITIONS:
        return False
    config.max_position_embeddings = POSITIONS
    return True


def build_random(
    config: PretrainedConfig, *, name: str, device: torch.device, dtype: torch.dtype, in_4bit: bool
) -> tuple[PreTrainedModel, str]:
    """Build a model with random weights, or its skeleton where the weights do not fit.

    Returns:
        The model on `device` and an empty text; or it on the meta device and why it does not fit.
    """
    try:
        check_fits(fit.weights_bytes(config, dtype, in_4bit), device, what=f"{name} (weights)")
    except OutOfMemory as reason:
        return fit.skeleton(config, dtype), str(reason)
    with init_empty_weights(include_buffers=False):  # rotary frequencies are computed, not drawn
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation="sdpa", trust_remote_code=False
        )
    model.tie_weights()  # emptying each parameter by itself has parted the tied ones
    block = torch.empty(BLOCK, dtype=dtype, device=device)
    block.normal_(0.0, 0.02, generator=torch.Generator(device).manual_seed(0))
    if in_4bit:
        _quantise_layers(model, block)
    _fill_parameters(model, block)
    model.to(device)  # type: ignore[arg-type]  # moves the buffers, the rest is there
    model.eval()
    return model, ""


def _quantise_layers(model: PreTrainedModel, block: torch.Tensor) -> None:
    """Put a 4-bit layer with weights from `block` in place of every linear layer."""
    weights = {}
    for path, linear in fit.quantised_layers(model).items():
        shape = linear.weight.shape  # (out_features, in_features)
        if shape not in weights:
            weights[shape] = nf4.quantise(_repeat(block, shape))
        model.set_submodule(path, nf4.layer_with(weights[shape], linear, block.dtype))
    setattr(model, "is_loaded_in_4bit", True)  # noqa: B010  # PEFT asks; no field of the class
    nf4.keep_gradients(model)


def _fill_parameters(model: PreTrainedModel, block: torch.Tensor) -> None:
    """Give every parameter that is still on the meta device its values; tied ones stay tied."""
    filled: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.is_meta:
                continue
            if id(parameter) not in filled:
                filled[id(parameter)] = nn.Parameter(
                    _values(name, parameter.shape, block), requires_grad=False
                )
            setattr(module, name, filled[id(parameter)])


def _values(name: str, shape: torch.Size, block: torch.Tensor) -> torch.Tensor:
    """Return ones for norms, zeros for biases, random numbers for matrices."""
    if len(shape) > 1:
        return _repeat(block, shape)
    return block.new_zeros(shape) if name == "bias" else block.new_ones(shape)


def _repeat(block: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return a tensor of `shape` filled with repeats of `block`."""
    values = block.new_empty(shape)
    flat = values.view(-1)
    for start in range(0, len(flat), len(block)):
        part = flat[start : start + len(block)]
        part.copy_(block[: len(part)])
    return values


def _read_settings(path: Path) -> dict[str, Any]:
    with reading(path, fault="cannot be read as a shape"):
        settings = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(settings, dict) or "model_type" not in settings:
        raise UserError(f"{path} is no model's config.json: it has no model_type")
    return settings


def _to_config(settings: dict[str, Any], name: str) -> PretrainedConfig:
    left_out = ("quantization_config", "auto_map")  # weights are drawn, code is never fetched
    kept = {key: value for key, value in settings.items() if key not in left_out}
    with reading(name, fault="is no configuration"):
        return AutoConfig.for_model(**kept)
