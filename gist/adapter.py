"""The gist adapter on a model: LoRA on its linear layers, gist embeddings beside its own.

Both context managers leave the model as they found it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    load_peft_weights,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file, save_file
from torch import distributed
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from gist.checkpoint import WEIGHTS, AdapterCard, adapter_folder, check_base, read_card
from gist.embedding import add_gist_embeddings
from gist.layout import GistPlan
from gist.lora import Embeddings, LoraOptions
from gist.models.model import LanguageModel
from gist.stored_adapter import fault, read_adapter
from harness.errors import UserError, one_line


@contextmanager
def added(
    model: PreTrainedModel,
    plan: GistPlan,
    lora: LoraOptions,
    *,
    seed: int,
    embeddings: Embeddings = "rows",
) -> Iterator[PeftModel]:
    """Add a new adapter to a model, untrained: `seed` decides its LoRA and its gist embeddings.

    `embeddings="full"` copies embeddings and head to be trained: 12 to 24 GB on an 8B model.

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
    if not plan.rows:
        return None
    return ["gist_rows", "gist_gates"] if plan.pools else ["gist_rows"]


@contextmanager
def attached(lm: LanguageModel, folder: Path) -> Iterator[AdapterCard]:
    """Load a trained adapter onto the model.

    Raises:
        UserError: the folder is no adapter, or one of another base model; or its tensors are not
            those of its configuration.
    """
    folder = adapter_folder(folder)
    card = read_card(folder)
    check_base(card, lm, folder)
    config, tensors = read_adapter(folder, card)
    with _wrapped(lm.model, config, card.plan, seed=0) as adapted:
        if found := fault(tensors, get_peft_model_state_dict(adapted, save_embedding_layers=False)):
            raise UserError(f"{folder} cannot be loaded as an adapter: {found}. Train it again.")
        set_peft_model_state_dict(adapted, tensors)
        adapted.eval()
        yield card


def save(adapted: PeftModel, folder: Path) -> None:
    """Save the adapter, in the first process; all have to call this, since each may hold a part."""
    named = adapted.named_parameters()
    trained = {name: whole(each.detach()) for name, each in named if each.requires_grad}
    adapted.save_pretrained(str(folder), state_dict=trained, is_main_process=is_first())
    if distributed.is_initialized():
        distributed.barrier()  # the others may read it next


def is_first() -> bool:
    """Whether this is the process that writes, of those that train together."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def load(adapted: PeftModel, folder: Path) -> None:
    """Put saved tensors into an adapter of the same kind, whose parts processes may hold."""
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    tensors: dict[str, torch.Tensor] = load_peft_weights(str(folder))
    for name, part in own.items():
        if isinstance(part, DTensor):
            tensors[name] = distribute_tensor(tensors[name], part.device_mesh, part.placements)
    set_peft_model_state_dict(adapted, tensors)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor as it is, or put together where processes hold parts of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


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
    with _restored(model):
        if plan.rows:
            add_gist_embeddings(model, plan.rows, seed=seed, gated=plan.pools)
        try:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                adapted = get_peft_model(model, config)
        except (ValueError, TypeError) as error:
            targets = ", ".join(sorted(config.target_modules or ()))
            raise UserError(f"LoRA cannot be added to {targets}: {one_line(error)}") from None
        yield adapted


@contextmanager
def _restored(model: PreTrainedModel) -> Iterator[None]:
    """Put every module of a model back to its place, however far PEFT came in replacing them."""
    children = [(module, dict(module._modules)) for module in model.modules()]
    trainable = [(weight, weight.requires_grad) for weight in model.parameters()]
    attributes = set(vars(model))
    try:
        yield
    finally:
        for module, its_own in children:
            module._modules.clear()
            module._modules.update(its_own)
        for weight, trains in trainable:
            weight.requires_grad_(trains)
        for name in set(vars(model)) - attributes:
            delattr(model, name)
