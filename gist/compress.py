"""Compress a context: read it once, keep the KV entries of its gists (and of `before`) alone."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel

from gist.caches import entries_of, map_entries, select
from gist.decode import KVState, read_rows
from gist.embedding import GistEmbedding, first_gist_id
from gist.layout import BEFORE, CONTEXT, GIST, GistPlan, Layout, lay_out
from gist.models.model import LanguageModel
from gist.pool import pooled, with_own
from harness.errors import UserError

DEFAULT_RATIO = 16.0
"""Context tokens per cached token, unless another ratio is given."""


def gists_for(context_tokens: int, *, tokens: int | None, ratio: float | None) -> int:
    """Return how many gists a context is given: `tokens`, or its size over `ratio`, at least 1."""
    if tokens is not None:
        return tokens
    return max(1, math.ceil(context_tokens / (ratio or DEFAULT_RATIO)))


def layout_for(lm: LanguageModel, context: Sequence[int], *, gists: int, plan: GistPlan) -> Layout:
    """Lay out a context with its gists, as it is read."""
    first_id = first_gist_id(lm.model)
    return lay_out(lm.prompt.before, context, gists=gists, first_gist_id=first_id, plan=plan)


def compress(lm: LanguageModel, context: Sequence[int], *, gists: int, plan: GistPlan) -> KVState:
    """Return the KV entries of the gists, and of `before` if the plan keeps it.

    The adapter must be loaded.

    Raises:
        UserError: more gists than the context has tokens, or than the adapter can place.
        ContextTooLong, OutOfMemory: as `gist.decode.read`.
    """
    return compress_rows(lm, [context], gists=[gists], plan=plan)[0]


@torch.inference_mode()
def compress_rows(
    lm: LanguageModel, contexts: Sequence[Sequence[int]], *, gists: Sequence[int], plan: GistPlan
) -> list[KVState]:
    """Compress several contexts in one forward pass, each as by itself up to rounding.

    Shorter ones end in padding, which no token of theirs can see: padding costs time, no exactness.

    Raises:
        UserError, ContextTooLong, OutOfMemory: as `compress`, if one of them would, or all together
            need more memory than there is.
    """
    layouts = [_layout(lm, ids, count, plan) for ids, count in zip(contexts, gists, strict=True)]
    widest = max(len(layout.ids) for layout in layouts)
    last = max(layout.next_position for layout in layouts)
    lm.reserve(last, entries=widest, new_tokens=widest, batch=len(layouts))
    cache = keep_gists(lm.model, lm.model, layouts, plan)
    if len(layouts) == 1:
        return [KVState(cache, last)]
    front = layouts[0].kinds.count(BEFORE) if plan.keep_prefix or plan.pools else 0
    return [
        KVState(_row(cache, number, front + len(layout.gist_positions)), layout.next_position)
        for number, layout in enumerate(layouts)
    ]


def _layout(lm: LanguageModel, context: Sequence[int], gists: int, plan: GistPlan) -> Layout:
    if gists > len(context):
        raise UserError(
            f"{gists} gists for a context of {len(context)} tokens compress nothing. "
            "Give fewer tokens, or a ratio."
        )
    try:
        return layout_for(lm, context, gists=gists, plan=plan)
    except ValueError as error:
        raise UserError(f"{error}. Give fewer tokens, or a larger ratio.") from None


def _row(cache: DynamicCache, number: int, entries: int) -> DynamicCache:
    """Copy the first entries of a row: a view would keep the whole batch in memory."""
    return map_entries(lambda each: each[number : number + 1, :, :entries].clone(), cache)


def keep_gists(
    model: Any, base: PreTrainedModel, layouts: Sequence[Layout], plan: GistPlan
) -> DynamicCache:
    """Read contexts and return what is kept of each; gradients flow where they are enabled.

    Args:
        model: `base`, or what wraps it in training; the adapter must be loaded.
        base: whose keys they are.
        layouts: of contexts behind the same ids.
        plan: of the adapter.

    Returns:
        KV entries of a row for each context; rows that keep fewer than others end in padding.
    """
    cache = _read(model, base.device, layouts)
    if not plan.pools:
        return _select(cache, layouts, {BEFORE, GIST} if plan.keep_prefix else {GIST})
    means = pooled(
        base,
        cache,
        start=layouts[0].kinds.count(BEFORE),
        sizes=[layout.kinds.count(CONTEXT) for layout in layouts],
        positions=[layout.gist_positions for layout in layouts],
    )
    if not plan.rows:
        return means
    embedding = base.get_input_embeddings()
    assert isinstance(embedding, GistEmbedding)
    return with_own(means, _select(cache, layouts, {GIST}), embedding.gates)


def _select(cache: DynamicCache, layouts: Sequence[Layout], kinds: set[int]) -> DynamicCache:
    """Copy the entries of tokens of some kinds; rows that have fewer of them end in padding."""
    kept = [[i for i, kind in enumerate(layout.kinds) if kind in kinds] for layout in layouts]
    return select(cache, _padded(kept, entries_of(cache.layers[0])[0].device))


def _read(model: Any, device: torch.device, layouts: Sequence[Layout]) -> DynamicCache:
    """Read a batch; of several contexts, what stands in front of all is read once."""
    ids = _padded([layout.ids for layout in layouts], device)
    positions = _padded([layout.positions for layout in layouts], device)
    shared = layouts[0].kinds.count(BEFORE) if len(layouts) > 1 else 0
    assert (ids[:, :shared] == ids[:1, :shared]).all(), "contexts behind different ids"
    cache = DynamicCache()
    if shared:
        front = DynamicCache()
        read_rows(model, ids[:1, :shared], positions[:1, :shared], front)
        cache = map_entries(lambda each: each.expand(len(ids), -1, -1, -1), front)
    read_rows(model, ids[:, shared:], positions[:, shared:], cache)
    return cache


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    widest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (widest - len(row))] for row in rows], device=device)
