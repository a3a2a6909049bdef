"""Say before the first step what a training will take: memory and, at least, time."""

from collections.abc import Sequence

import torch

from gist.collator import Example, PackedCollator, uncompressed
from gist.models.memory import GIB, usable_bytes
from gist.models.model import LanguageModel
from gist.training.configuration import TrainingConfiguration
from gist.training.curriculum import Curriculum
from gist.training.training_cost import measure_flop_rate, step_cost

TEACHER = 4 / 3  # distillation adds a forward pass to forward and backward


def forecast(
    lm: LanguageModel,
    configuration: TrainingConfiguration,
    curriculum: Curriculum,
    collator: PackedCollator,
    examples: Sequence[Example],
) -> str:
    """Return a line with the memory of a step and the least time of all steps.

    `examples` are a batch of the last stage, usually the largest.
    """
    plan, bf16 = collator.plan, configuration.optimiser.bf16
    # Two passes read the same tokens as one over the uncompressed examples, and the gist tokens.
    batch = collator([uncompressed(each) for each in examples] if plan.pools else examples)
    rows, tokens = batch["input_ids"].shape
    if plan.pools and plan.rows:
        tokens += max(each.gists for each in examples)
    answer_tokens = len(batch["logits_to_keep"])
    cost = step_cost(lm, configuration, tokens=tokens, answer_tokens=answer_tokens, batch=rows)
    rate = measure_flop_rate(lm.model.device, torch.bfloat16 if bf16 else lm.model.dtype)
    seconds = cost.flops / rate * (TEACHER if configuration.losses.distillation else 1.0)
    held = cost.weights_bytes  # is in memory already
    free = usable_bytes(lm.model.device)
    minutes = seconds * curriculum.max_steps / 60
    return (
        f"a step of the last stage reads {rows} x {tokens} tokens: about "
        f"{cost.total_bytes / GIB:.2f} GiB, {held / GIB:.2f} of them the model's weights, and "
        f"{free / GIB:.1f} GiB are free. At least {seconds:.1f} s a step "
        f"here, {minutes:.0f} minutes for {curriculum.max_steps:,} steps"
    )
