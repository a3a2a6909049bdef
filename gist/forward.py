"""What a model predicts of a batch of examples: in one packed pass, or in two.

    one pass      before | context | gists | q1 a1 | q2 a2 | ...      under one mask
    two passes    before | context | gists                            what is kept of it, then
                  what was kept | q1 a1 | q2 a2 | ...                 all questions at once

Both give the same predictions and gradients where both exist; means of KV entries take two passes.
Training, the teacher of distillation, the dry run and the held-out scores all read their
predictions from the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel

from gist.collator import Example, PackedCollator, are_compressed
from gist.compress import keep_gists
from gist.decode import map_entries
from gist.embedding import first_gist_id
from gist.layout import BEFORE, GistPlan
from gist.models.model import LanguageModel


@dataclass(frozen=True, slots=True)
class Predictions:
    """Logits at the tokens that have a label; row i is of example i."""

    logits: torch.Tensor  # (examples, kept, vocabulary)
    labels: torch.Tensor  # (examples, kept), of answers and snippets; IGNORED elsewhere
    answers: torch.Tensor  # (examples, kept), the number of the answer; IGNORED elsewhere


@dataclass(frozen=True, slots=True)
class PackedForward:
    """One pass over `before | context | gists | q1 a1 | q2 a2 | ...`, under one mask."""

    collator: PackedCollator

    def __call__(self, model: Any, examples: Sequence[Example]) -> Predictions:
        """Return the predictions of one pass."""
        return _predict(model, self.collator(examples), use_cache=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """KV entries kept of a batch of contexts."""

    cache: DynamicCache  # each layer's keys and values: (batch, kv_heads, entries, head_dim)
    counts: Sequence[int]  # entries of each row; the others are padding
    starts: Sequence[int]  # the position that follows each context

    def detached(self) -> "Kept":
        """Return the same entries, through which no gradient flows."""
        return replace(self, cache=map_entries(torch.Tensor.detach, self.cache))


@dataclass(frozen=True, slots=True)
class TwoPassForward:
    """Compress and ask, as answering does, with gradients through what is kept."""

    collator: PackedCollator
    base: PreTrainedModel  # whose keys are kept

    def __call__(self, model: Any, examples: Sequence[Example]) -> Predictions:
        """Return the predictions of two passes; without gists, of one."""
        if not are_compressed(examples):
            return PackedForward(self.collator)(model, examples)
        return self.ask(model, examples, self.read(model, examples))

    def read(self, model: Any, examples: Sequence[Example]) -> Kept:
        """Read each context once, and return what is kept."""
        plan = self.collator.plan
        layouts = [self.collator.layout(example) for example in examples]
        before = layouts[0].kinds.count(BEFORE) if plan.keep_prefix else 0
        return Kept(
            keep_gists(model, self.base, layouts, plan),
            [before + example.gists for example in examples],
            [layout.next_position for layout in layouts],
        )

    def ask(self, model: Any, examples: Sequence[Example], kept: Kept) -> Predictions:
        """Return the predictions of all questions, each behind what was kept of its context."""
        inputs = self.collator.behind(examples, kept.starts, kept.counts)
        return _predict(model, inputs, past_key_values=kept.cache, use_cache=True)


Forward = PackedForward | TwoPassForward


def forward_for(lm: LanguageModel, plan: GistPlan) -> Forward:
    """Return how an adapter of a plan is trained: in one pass where there is one."""
    collator = PackedCollator(lm.prompt, first_gist_id(lm.model), plan)
    return TwoPassForward(collator, lm.model) if plan.pools else PackedForward(collator)


def _predict(model: Any, inputs: dict[str, torch.Tensor], **options: Any) -> Predictions:
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    answers, labels = inputs.pop("answers"), inputs.pop("shift_labels")
    return Predictions(model(**inputs, **options).logits, labels, answers)
