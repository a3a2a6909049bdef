"""The loss of a batch: one training step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from gist.collator import IGNORED, Example, uncompressed
from gist.forward import Forward
from gist.training.configuration import LossWeights
from gist.training.losses import cross_entropy, distillation, share_right


@dataclass(frozen=True, slots=True)
class StepLoss:
    """What a step minimises, and how many answers it would have given word for word."""

    loss: torch.Tensor  # ()
    right: float  # share of the answers


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """The weighted loss of a batch."""

    forward: Forward
    weights: LossWeights

    def __call__(self, model: Any, examples: Sequence[Example]) -> StepLoss:
        """Return the loss of the examples, to be differentiated by the caller."""
        found: list[StepLoss] = []

        def run(inner: Any) -> torch.Tensor:
            found.append(self._loss(inner, examples))
            return found[0].loss

        loss = _in_one_pass(model, run)
        return replace(found[0], loss=loss)

    def _loss(self, model: Any, examples: Sequence[Example]) -> StepLoss:
        weights, found = self.weights, self.forward(model, examples)
        asked = found.answers != IGNORED
        hidden = (found.labels != IGNORED) & ~asked  # of snippets
        loss = weights.answers * cross_entropy(found.logits, found.labels, asked)
        if weights.distillation:
            teacher = self._teacher_logits(model, examples)
            term = distillation(found.logits[asked], teacher, top_k=weights.top_k)
            loss = loss + weights.distillation * term
        if hidden.any():
            term = cross_entropy(found.logits, found.labels, hidden)
            loss = loss + weights.reconstruction * term
        return StepLoss(loss, share_right(found.logits.detach(), found.labels, found.answers))

    def _teacher_logits(self, model: Any, examples: Sequence[Example]) -> torch.Tensor:
        """Return what the model without adapter predicts from the full context.

        Returns:
            Logits of the answers' tokens in order, (answer tokens, vocabulary).
        """
        with torch.no_grad(), model.disable_adapter():
            found = self.forward(model, [uncompressed(example) for example in examples])
        return found.logits[found.answers != IGNORED]


def _in_one_pass(model: Any, run: Callable[[Any], torch.Tensor]) -> torch.Tensor:
    """Return `run(model)`, within one forward pass of DDP if that is what the model is.

    DDP exchanges gradients after one forward pass, and waits in each for the other processes. Here
    a step has two, or one where its batch is not compressed: processes would wait for ever.
    """
    if not isinstance(model, DistributedDataParallel):
        return run(model)
    inner, stock = model.module, model.module.forward

    def forward() -> torch.Tensor:
        inner.forward = stock
        return run(inner)

    inner.forward = forward
    try:
        loss: torch.Tensor = model()
    finally:
        inner.forward = stock
    return loss
