"""Compress a context: read it once, keep the KV entries of its gists (and of `before`) alone."""

import math
from collections.abc import Sequence

from gist.decode import KVState, read
from gist.embedding import first_gist_id
from gist.layout import BEFORE, GIST, GistPlan, Layout, lay_out
from gist.models.model import LanguageModel
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
    if gists > len(context):
        raise UserError(
            f"{gists} gists for a context of {len(context)} tokens compress nothing. "
            "Give fewer tokens, or a ratio."
        )
    try:
        layout = layout_for(lm, context, gists=gists, plan=plan)
    except ValueError as error:
        raise UserError(f"{error}. Give fewer tokens, or a larger ratio.") from None
    kept = {BEFORE, GIST} if plan.keep_prefix else {GIST}
    keep = [index for index, kind in enumerate(layout.kinds) if kind in kept]
    return read(
        lm,
        layout.ids,
        positions=layout.positions,
        next_position=layout.next_position,
        keep=keep,
    )
