"""Say before the first step what a training will take: memory and, at least, time."""

from collections.abc import Sequence

import torch

from gist.collator import Example, PackedCollator
from gist.curriculum import Curriculum
from gist.losses import LossWeights
from gist.memory import usable_bytes
from gist.model import LanguageModel
from gist.training_cost import Adapter, Base, Step, estimate, measure_flop_rate

GIB = 2**30
TEACHER = 4 / 3  # distillation adds a forward pass to forward and backward


def forecast(
    lm: LanguageModel,
    adapter: Adapter,
    curriculum: Curriculum,
    collator: PackedCollator,
    examples: Sequence[Example],
    *,
    weights: LossWeights,
    gradient_checkpointing: bool,
    bf16: bool,
) -> str:
    """Return a line with the memory of a step and the least time of all steps.

    Args:
        lm: the base model.
        adapter: what is trained.
        curriculum: says how many steps there are at most.
        collator: packs a batch.
        examples: a batch of the last stage, usually the largest.
        weights: of the losses; a teacher takes a pass of its own.
        gradient_checkpointing: less memory, one more forward pass.
        bf16: autocast.
    """
    batch = collator(examples)
    rows, tokens = batch["input_ids"].shape
    step = Step(
        tokens=tokens,
        answer_tokens=len(batch["logits_to_keep"]),
        batch=rows,
        gradient_checkpointing=gradient_checkpointing,
        autocast=bf16,
    )
    cost = estimate(Base(lm.model.config, lm.model.dtype, lm.load_in_4bit), adapter, step)
    rate = measure_flop_rate(lm.model.device, torch.bfloat16 if bf16 else lm.model.dtype)
    seconds = cost.flops / rate * (TEACHER if weights.distillation else 1.0)
    held = cost.weights_bytes  # is in memory already
    free = usable_bytes(lm.model.device)
    minutes = seconds * curriculum.max_steps / 60
    return (
        f"a step of the last stage reads {rows} x {tokens} tokens: about "
        f"{cost.total_bytes / GIB:.2f} GiB, {held / GIB:.2f} of them the model's weights, and "
        f"{free / GIB:.1f} GiB are free. At least {seconds:.1f} s a step "
        f"here, {minutes:.0f} minutes for {curriculum.max_steps:,} steps"
    )
