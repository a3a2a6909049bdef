"""Load the model that is trained; a large one on a CPU only where that is asked for."""

import os

import torch

from gist.models import fit
from gist.models.loading import choose_device, load_model, read_facts
from gist.models.model import LanguageModel
from gist.models.prompt import PromptText
from gist.training.configuration import ModelChoice
from harness.errors import UserError

LARGE = 10**9  # parameters beyond which training on a CPU has to be asked for


def load_base(choice: ModelChoice, prompt: PromptText, *, shapes: bool = False) -> LanguageModel:
    """Load the model; with `shapes`, a large one on a CPU is its shapes alone, and no error.

    Raises:
        UserError: a large model, no GPU, and no device named.
    """
    name, device, reason = choice.model, choice.device, ""
    if device is None and "LOCAL_RANK" in os.environ and choose_device(None).type == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    if device is None and choose_device(None).type == "cpu":
        parameters = fit.skeleton(read_facts(name)[0]).num_parameters()
        if parameters > LARGE:
            reason = (
                f"{name} has {parameters / 1e9:.1f} billion parameters and this machine no GPU; "
                "a step would take minutes. Add --device cpu to train all the same."
            )
            if not shapes:
                raise UserError(reason)
    # Without tiles (AMX), bfloat16 on a CPU is slower than float32.
    in_tiles = torch.cpu.get_capabilities().get("amx_bf16", False)
    return load_model(
        name,
        prompt,
        device=device,
        dtype=choice.dtype or ("bfloat16" if in_tiles else None),
        load_in_4bit=choice.load_in_4bit,
        without_weights=reason,
    )
