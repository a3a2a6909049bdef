"""The gist adapter on a model: LoRA on its linear layers, gist embeddings beside its own.

Both context managers leave the model as they found it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from gist.checkpoint import CONFIG, WEIGHTS, AdapterCard, check_base, read_card
from gist.embedding import GistEmbedding, add_gist_embeddings, remove_gist_embeddings
from gist.layout import GistPlan
from gist.lora import Embeddings, LoraOptions
from gist.models.model import LanguageModel
from harness.errors import UserError


@contextmanager
def added(
    model: PreTrainedModel,
    plan: GistPlan,
    lora: LoraOptions,
    *,
    seed: int,
    embeddings: Embeddings = "rows",
) -> Iterator[PeftModel]:
    """Add a new, untrained adapter to a model.

    Args:
        model: the base model.
        plan: how many gist embeddings there are.
        lora: rank, scale and targets.
        seed: decides the gist embeddings and LoRA.
        embeddings: "full" copies embeddings and head to be trained: 12 to 24 GB on an 8B model.

    Raises:
        UserError: the model has none of the target modules.
    """
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        target_modules=list(lora.targets),
        modules_to_save=_embeddings_saved(plan, embeddings),
        task_type="CAUSAL_LM",
    )
    with _wrapped(model, config, plan, seed=seed) as adapted:
        yield adapted


def _embeddings_saved(plan: GistPlan, embeddings: Embeddings) -> list[str] | None:
    if embeddings == "full":
        return ["embed_tokens", "lm_head"]
    return ["gist_rows"] if plan.rows else None


@contextmanager
def attached(lm: LanguageModel, folder: Path) -> Iterator[AdapterCard]:
    """Load a trained adapter onto the model.

    Raises:
        UserError: the folder is no adapter, or one of another base model; or its tensors are not
            those of its configuration.
    """
    card = read_card(folder)
    check_base(card, lm, folder)
    try:
        if not (folder / CONFIG).is_file():  # PEFT would ask the hub for it
            raise FileNotFoundError(f"{CONFIG} is missing")
        config = LoraConfig.from_pretrained(str(folder))
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be loaded as an adapter: {error}") from None
    config.inference_mode = True
    config.base_model_name_or_path = None  # PEFT warns where the base has moved
    with _wrapped(lm.model, config, card.plan, seed=0) as adapted:
        if fault := _fault(
            tensors, get_peft_model_state_dict(adapted, save_embedding_layers=False)
        ):
            raise UserError(f"{folder} cannot be loaded as an adapter: {fault}. Train it again.")
        set_peft_model_state_dict(adapted, tensors)
        adapted.eval()
        yield card


def store_as(folder: Path, dtype: str) -> None:
    """Store the weights of an adapter that was saved in another precision."""
    tensors = load_file(folder / WEIGHTS)
    kind = getattr(torch, dtype)
    save_file({name: each.to(kind) for name, each in tensors.items()}, folder / WEIGHTS)


@contextmanager
def _wrapped(
    model: PreTrainedModel, config: LoraConfig, plan: GistPlan, *, seed: int
) -> Iterator[PeftModel]:
    """Wrap a model into PEFT's, with the plan's gist embeddings; unwrap it afterwards."""
    embedding = add_gist_embeddings(model, plan.rows, seed=seed) if plan.rows else None
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            adapted = get_peft_model(model, config)
    except ValueError as error:
        _remove(model, embedding)
        targets = ", ".join(sorted(config.target_modules or ()))
        raise UserError(f"LoRA cannot be added to {targets}: {error}") from None
    try:
        yield adapted
    finally:
        adapted.unload()
        _remove(model, embedding)


def _remove(model: PreTrainedModel, embedding: GistEmbedding | None) -> None:
    if embedding is not None:
        remove_gist_embeddings(model, embedding)


def _fault(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> str:
    """Return the first thing wrong with the tensors of a file; PEFT loads whatever fits."""
    for name in sorted({*found, *expected}):
        if name not in found:
            return f"tensor {name} is missing"
        if name not in expected:
            return f"tensor {name} belongs to no part of it"
        if found[name].shape != expected[name].shape:
            shapes = (list(each[name].shape) for each in (found, expected))
            return "tensor {} has shape {}, not {}".format(name, *shapes)
        if not found[name].isfinite().all():
            return f"tensor {name} holds numbers that are not finite"
    return ""
