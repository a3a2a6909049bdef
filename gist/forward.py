"""What a model predicts of a batch of examples: in one packed pass, or in two.

    one pass      before | context | gists | q1 a1 | q2 a2 | ...      under one mask
    two passes    before | context | gists                            what is kept of it, then
                  what was kept | q1 a1 | q2 a2 | ...                 all questions at once

Both give the same predictions and gradients where both exist; means of KV entries take two passes,
and so do windows whose gists are joined, or read by gists once more in between.
Training, the teacher of distillation, the dry run and the held-out scores all read their
predictions from the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch.nn import functional as F
from transformers import DynamicCache

from gist.caches import map_entries
from gist.collator import Example, PackedCollator, are_compressed
from gist.compress import keep_gists
from gist.decode import KVState
from gist.embedding import first_gist_id
from gist.hierarchy import FAN_IN, condense_segments
from gist.layout import BEFORE, GistPlan, Layout
from gist.models.model import LanguageModel
from gist.windows import Segment, Segments, join_segments


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
    lm: LanguageModel  # whose keys are kept

    def __call__(self, model: Any, examples: Sequence[Example]) -> Predictions:
        """Return the predictions of two passes; without gists, of one."""
        if not are_compressed(examples):
            return PackedForward(self.collator)(model, examples)
        return self.ask(model, examples, self.read(model, examples))

    def read(self, model: Any, examples: Sequence[Example]) -> Kept:
        """Read each context once, and return what is kept."""
        if examples[0].windows:
            return _stacked([self._joined(model, example) for example in examples])
        plan = self.collator.plan
        layouts = [self.collator.layout(example) for example in examples]
        before = layouts[0].kinds.count(BEFORE) if plan.keep_prefix else 0
        return Kept(
            keep_gists(model, self.lm.model, layouts, plan),
            [before + example.gists for example in examples],
            [layout.next_position for layout in layouts],
        )

    def _joined(self, model: Any, example: Example) -> KVState:
        """Read a context in its windows, all at once, and return their gists joined."""
        windows, plan = example.windows, self.collator.plan
        assert windows, "a batch is either read in windows or not"
        ends = list(accumulate(windows.tokens, initial=0))
        pieces = [example.context[start:end] for start, end in pairwise(ends)]
        layouts = [
            self.collator.layout(replace(example, context=piece, gists=count))
            for piece, count in zip(pieces, windows.gists, strict=True)
        ]
        cache = keep_gists(model, self.lm.model, layouts, plan)
        before = layouts[0].kinds.count(BEFORE)
        segments = _segments(cache, layouts, before if plan.keep_prefix else 0)
        if windows.condensed:
            segments = condense_segments(
                self.lm, segments, fan_in=FAN_IN, gists=windows.condensed, plan=plan
            )
        return join_segments(self.lm, segments.prefix, segments.parts)

    def ask(self, model: Any, examples: Sequence[Example], kept: Kept) -> Predictions:
        """Return the predictions of all questions, each behind what was kept of its context."""
        inputs = self.collator.behind(examples, kept.starts, kept.counts)
        return _predict(model, inputs, past_key_values=kept.cache, use_cache=True)


Forward = PackedForward | TwoPassForward


def forward_for(lm: LanguageModel, plan: GistPlan, *, windows: bool = False) -> Forward:
    """Return how an adapter of a plan is trained: in one pass where there is one.

    With `windows`, contexts may be read in windows.
    """
    collator = PackedCollator(lm.prompt, first_gist_id(lm.model), plan)
    return TwoPassForward(collator, lm) if plan.pools or windows else PackedForward(collator)


def _segments(cache: DynamicCache, layouts: Sequence[Layout], kept_before: int) -> Segments:
    """Return the rows of a cache (windows, kv_heads, kept, head_dim) as segments."""

    def piece(row: int, first: int, end: int) -> DynamicCache:
        return map_entries(lambda each: each[row : row + 1, :, first:end], cache)

    start = layouts[0].kinds.count(BEFORE)
    parts = [
        Segment(
            KVState(
                piece(row, kept_before, kept_before + len(layout.gist_positions)),
                layout.next_position,
            ),
            tuple(layout.gist_positions),
            span=layout.next_position - start,
        )
        for row, layout in enumerate(layouts)
    ]
    return Segments(KVState(piece(0, 0, kept_before), start), tuple(parts))


def _stacked(states: Sequence[KVState]) -> Kept:
    """Return states as rows of a batch; those with fewer entries end in padding."""
    counts = [state.entries for state in states]
    widest = max(counts)

    def stack(*rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([F.pad(row, (0, 0, 0, widest - row.shape[2])) for row in rows])

    cache = map_entries(stack, *(state.cache for state in states))
    return Kept(cache, counts, [state.next_position for state in states])


def _predict(model: Any, inputs: dict[str, torch.Tensor], **options: Any) -> Predictions:
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    answers, labels = inputs.pop("answers"), inputs.pop("shift_labels")
    return Predictions(model(**inputs, **options).logits, labels, answers)
