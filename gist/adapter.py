"""The gist adapter on a model: LoRA on its linear layers, and the gist rows beside its embeddings.

Both managers leave the model as they found it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from gist.checkpoint import Card, check_base, read_card
from gist.embedding import add_gist_rows, remove_gist_rows
from gist.errors import GistError
from gist.layout import GistPlan
from gist.model import LanguageModel

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj")
Embeddings = Literal["rows", "full"]
""""rows" trains the gist rows alone; "full" the whole vocabulary and the output head besides."""


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """LoRA (arXiv 2106.09685) as PEFT takes it; no dropout, or training would not equal asking."""

    rank: int = 64
    alpha: int = 128
    targets: tuple[str, ...] = ATTENTION


@contextmanager
def added(
    model: PreTrainedModel,
    plan: GistPlan,
    lora: LoraOptions,
    *,
    seed: int,
    embeddings: Embeddings = "rows",
) -> Iterator[PeftModel]:
    """Put a new, untrained adapter onto a model.

    Args:
        model: the base model.
        plan: how many gist rows there are.
        lora: rank, scale and targets.
        seed: decides gist rows and LoRA.
        embeddings: "full" copies embeddings and head to be trained: 12 to 24 GB on an 8B model.

    Raises:
        GistError: the model has none of the target modules.
    """
    embedding = add_gist_rows(model, plan.rows, seed=seed)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        target_modules=list(lora.targets),
        modules_to_save=["gist_rows"] if embeddings == "rows" else ["embed_tokens", "lm_head"],
        task_type="CAUSAL_LM",
    )
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            adapted = get_peft_model(model, config)
    except ValueError as error:
        remove_gist_rows(model, embedding)
        raise GistError(f"LoRA cannot be put on {', '.join(lora.targets)}: {error}") from None
    try:
        yield adapted
    finally:
        adapted.unload()
        remove_gist_rows(model, embedding)


@contextmanager
def attached(lm: LanguageModel, folder: Path) -> Iterator[Card]:
    """Put a trained adapter onto the model.

    Raises:
        GistError: the folder is no adapter, or one of another base model.
    """
    card = read_card(folder)
    check_base(card, lm, folder)
    embedding = add_gist_rows(lm.model, card.plan.rows, seed=0)
    try:
        adapted = PeftModel.from_pretrained(lm.model, str(folder), use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        remove_gist_rows(lm.model, embedding)
        raise GistError(f"{folder} cannot be loaded as an adapter: {error}") from None
    adapted.eval()
    try:
        yield card
    finally:
        adapted.unload()
        remove_gist_rows(lm.model, embedding)
