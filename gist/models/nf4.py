"""4-bit weights through bitsandbytes: NF4, double quantisation, on CUDA and on the CPU."""

import copy
import importlib.util
import os
from typing import Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from harness.errors import UserError

COMPUTE_DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def check_available(dtype: torch.dtype) -> None:
    """Refuse 4-bit loading where bitsandbytes is missing or cannot compute in `dtype`."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("--load-in-4bit needs bitsandbytes: pip install bitsandbytes")
    if dtype not in COMPUTE_DTYPES:
        allowed = ", ".join(str(each).removeprefix("torch.") for each in COMPUTE_DTYPES)
        given = str(dtype).removeprefix("torch.")
        raise UserError(f"--load-in-4bit cannot compute in {given}. Allowed: {allowed}.")


def quantisation(dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return how weights are loaded in 4 bits: NF4, doubly quantised, computing in `dtype`.

    The same bits are stored as numbers of `dtype` where they are to be sharded: accelerate leaves
    bytes whole in every process.
    """
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_storage=dtype if is_sharded() else None,
    )


def is_sharded() -> bool:
    """Whether accelerate was asked to shard the model over processes, by FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"


def keep_gradients(model: nn.Module) -> None:
    """Keep 4-bit layers differentiable on CPUs with avx512_bf16.

    There, an evaluation repacks the weights for a kernel without a gradient, for good: training
    after evaluating goes on with a plausible loss and wrong gradients. Call this right after
    loading, before the first forward pass. Does nothing to a model without such layers.
    """
    if not getattr(model, "is_loaded_in_4bit", False):
        return
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def prepare_for_training(adapted: nn.Module) -> None:
    """Make an adapted model ready for training where the base is in 4 bits or half precision.

    The gist embeddings learn in float32, as PEFT has LoRA do already. PEFT's own
    `prepare_model_for_kbit_training` is not called: it lifts embeddings, head and norms to float32
    (2 GiB more on an 8B model, and a training pass that rounds otherwise than asking does), and
    makes the embeddings' output require a gradient, which the gist embeddings already do.
    """
    keep_gradients(adapted)
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad and "gist_" in name:
            parameter.data = parameter.data.float()


def quantise(weight: torch.Tensor) -> nn.Parameter:
    """Return a weight of (out_features, in_features) as a 4-bit parameter on the same device."""
    from bitsandbytes.nn.modules import Params4bit

    parameter: Any = Params4bit(
        weight, requires_grad=False, quant_type="nf4", compress_statistics=True
    )
    quantised: nn.Parameter = parameter.to(weight.device)  # the move is what quantises
    return quantised


def layer_with(weight: nn.Parameter, like: nn.Linear, dtype: torch.dtype) -> nn.Module:
    """Return a 4-bit layer of the same features as `like`, with its own copy of `weight`."""
    from bitsandbytes.nn.modules import Linear4bit

    layer: Any = Linear4bit(
        like.in_features,
        like.out_features,
        bias=like.bias is not None,
        compute_dtype=dtype,
        compress_statistics=True,
        quant_type="nf4",
        device="meta",
    )
    layer.weight = copy.deepcopy(weight)
    layer.weight.module = layer
    layer.quant_state = layer.weight.quant_state
    layer.bias = like.bias
    module: nn.Module = layer
    return module
