"""How much a causal language model is surprised by each token of a text."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from gist.models.model import LanguageModel


@torch.inference_mode()
def self_information(lm: LanguageModel, before: Sequence[int], ids: Sequence[int]) -> torch.Tensor:
    """Return -log p of each of `ids` behind `before` and those in front of it, in nats.

    There is at least one id in both.

    Returns:
        float32 (ids,), on the CPU.

    Raises:
        ContextTooLong: more positions than the model has.
        OutOfMemory: more memory than there is, foreseen.
    """
    tokens = len(before) + len(ids)
    lm.reserve(tokens, entries=tokens, new_tokens=tokens, batch=1)
    row = lm.ids([[*before, *ids]])
    logits = lm.model(row, use_cache=False, logits_to_keep=len(ids) + 1).logits[0, :-1]
    return F.cross_entropy(logits.float(), row[0, -len(ids) :], reduction="none").cpu()
