"""The files of an adapter, read and checked before anything of them touches a model.

train-gist writes LoRA as `LoraOptions` has it and nothing else. Other settings of PEFT change
the base model (its initialisations, layer replication) or would make an adapter that was never
trained this way, so they are refused. Sizes are compared with the stored tensors before memory of
that size is asked for.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import load_file

from gist.checkpoint import CONFIG, WEIGHTS, AdapterCard
from harness.errors import UserError, reading

Tensors = Mapping[str, torch.Tensor]

_SAVED = ("gist_rows", "gist_gates", "embed_tokens", "lm_head")  # what may train beside LoRA
_OURS = frozenset(("r", "lora_alpha", "target_modules", "modules_to_save"))
# What PEFT notes of where and how an adapter was made: it decides no number.
_NOTES = frozenset(
    "auto_mapping base_model_name_or_path inference_mode peft_type peft_version revision task_type"
    " megatron_core qalora_group_size".split()
)


def read_adapter(folder: Path, card: AdapterCard) -> tuple[LoraConfig, Tensors]:
    """Return the configuration and the tensors of an adapter's folder.

    Raises:
        UserError: a file is missing or damaged, or they do not belong together.
    """
    wrong = "cannot be loaded as an adapter"
    with reading(folder / CONFIG, fault=wrong, advice="Train it again."):
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config = _config(values)
    with reading(folder / WEIGHTS, fault=wrong, advice="Train it again."):
        tensors = load_file(folder / WEIGHTS)
    ranks = {len(each) for name, each in tensors.items() if "lora_A" in name}
    rows = {len(each) for name, each in tensors.items() if "gist_rows" in name}
    for what, wanted, found in (("rank", config.r, ranks), ("rows", card.plan.rows, rows)):
        if found and wanted > max(found):
            raise UserError(
                f"{folder} cannot be loaded as an adapter: its {what} of {wanted} is not that of "
                f"its tensors, {max(found)}. Train it again."
            )
    return config, tensors


def fault(found: Tensors, expected: Tensors) -> str:
    """Return the first thing wrong with the tensors of a file; PEFT loads whatever fits."""
    for name in sorted({*found, *expected}):
        if name not in found:
            return f"tensor {name} is missing"
        if name not in expected:
            return f"tensor {name} belongs to no part of it"
        if found[name].shape != expected[name].shape:
            shapes = (list(each[name].shape) for each in (found, expected))
            return "tensor {} has shape {}, not {}".format(name, *shapes)
        if not found[name].is_floating_point():
            return f"tensor {name} holds {found[name].dtype}, not floating point numbers"
        if not found[name].isfinite().all():
            return f"tensor {name} holds numbers that are not finite"
    return ""


def _config(values: Any) -> LoraConfig:
    """Return what an `adapter_config.json` says, as PEFT takes it; ValueError for what is wrong."""
    if not isinstance(values, dict) or values.get("peft_type") != "LORA":
        raise ValueError("it is no configuration of LoRA")
    rank: Any = values.get("r")
    alpha: Any = values.get("lora_alpha")
    targets, saved = values.get("target_modules"), values.get("modules_to_save")
    if not (_is_whole(rank) and _is_whole(alpha)):
        raise ValueError(f"r={rank!r} and lora_alpha={alpha!r} must be whole numbers from 1 on")
    if not (_are_texts(targets) and targets):
        raise ValueError(f"target_modules={targets!r} must be a list of layers' names")
    if saved is not None and not (_are_texts(saved) and set(saved) <= set(_SAVED)):
        raise ValueError(f"modules_to_save={saved!r} must be null or among {', '.join(_SAVED)}")
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(targets),
        modules_to_save=None if saved is None else list(saved),
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
    usual = config.to_dict()
    for name in sorted((set(values) & set(usual)) - _OURS - _NOTES):
        if values[name] != usual[name]:
            raise ValueError(f"{name}={values[name]!r} is nothing that train-gist writes")
    return config


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
