"""Compress a context into gists: read it once, keep the entries of gists (and `before`) alone."""

import math
from collections.abc import Sequence

from gist.decode import KVState, read
from gist.embedding import first_gist_id
from gist.errors import GistError
from gist.layout import BEFORE, GIST, GistPlan, lay_out
from gist.model import LanguageModel

DEFAULT_RATIO = 16.0
"""Context tokens per KV entry kept, where nothing else is asked for."""


def gists_for(context_tokens: int, *, tokens: int | None, ratio: float | None) -> int:
    """Return how many gists a context is given: `tokens`, or its size over `ratio`, at least 1."""
    if tokens is not None:
        return tokens
    return max(1, math.ceil(context_tokens / (ratio or DEFAULT_RATIO)))


def compress(lm: LanguageModel, context: Sequence[int], *, gists: int, plan: GistPlan) -> KVState:
    """Return the entries of the gists, and of `before` if the plan keeps it; adapter on.

    Raises:
        GistError: more gists than the context has tokens, or than the adapter can place.
        TooLong, DoesNotFit: as `gist.decode.read`.
    """
    if gists > len(context):
        raise GistError(
            f"{gists} gists for a context of {len(context)} tokens compress nothing. "
            "Give fewer tokens, or a ratio."
        )
    try:
        layout = lay_out(
            lm.prompt.before,
            context,
            gists=gists,
            first_gist_id=first_gist_id(lm.model),
            plan=plan,
        )
    except ValueError as error:
        raise GistError(f"{error}. Give fewer tokens, or a larger ratio.") from None
    kept = {BEFORE, GIST} if plan.keep_prefix else {GIST}
    keep = [index for index, kind in enumerate(layout.kinds) if kind in kept]
    return read(
        lm,
        layout.ids,
        positions=layout.positions,
        next_position=layout.next_position,
        keep=keep,
    )
