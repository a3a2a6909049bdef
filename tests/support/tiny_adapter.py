"""A gist adapter with random weights for a tiny model, saved as train-gist saves one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel

from gist.adapter import added
from gist.checkpoint import AdapterCard, write_card
from gist.layout import GistPlan
from gist.lora import LoraOptions
from gist.models.model import LanguageModel

PLAN = GistPlan(rows=32, segment_tokens=32)
POOL = GistPlan(rows=0, placement="pool")


@contextmanager
def speaking_adapter(lm: LanguageModel, plan: GistPlan) -> Iterator[PeftModel]:
    """Put an adapter on a model that changes what it says, in evaluation; take it off again."""
    with added(lm.model, plan, LoraOptions(rank=4, alpha=8), seed=1) as peft:
        generator = torch.Generator().manual_seed(3)
        for name, parameter in peft.named_parameters():
            if "lora_B" in name or "gist_gates" in name:  # zeros: an adapter that does nothing
                drawn = torch.randn(parameter.shape, generator=generator)
                parameter.data.copy_(0.1 * drawn)
        peft.eval()
        yield peft


def save_tiny_adapter(lm: LanguageModel, folder: Path, plan: GistPlan = PLAN) -> Path:
    """Write an adapter that changes the model's answers; the model is left as it was."""
    generator = torch.Generator().manual_seed(5)
    with added(lm.model, plan, LoraOptions(rank=2, alpha=4), seed=1) as adapted:
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name or "gist_gates" in name:  # zeros: an adapter that does nothing
                parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
        adapted.save_pretrained(str(folder), safe_serialization=True)
    card = AdapterCard(
        plan=plan,
        base=lm.name,
        base_fingerprint=lm.fingerprint,
        prompt_hash=lm.prompt_hash,
        ratios=(16.0,),
        shots=lm.prompt.shots,
    )
    write_card(folder, card)
    return folder
