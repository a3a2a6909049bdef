"""Gists of gists: the joined gists of a few windows, read by a second group of gists.

    level 1    before w0 G0..G63 | before w1 G0..G63           each window compressed by itself
    level 2    before G0..G63 G0..G63 H0..H31                  H reads what level 1 has kept
    kept       before H0..H31

The second group has the same embeddings as the first, and stands at positions spread over those of
the windows. It reads KV entries of gists, which an adapter learns only where stages of its training
have `twice`: measure what it keeps before you trust it.
"""

from collections.abc import Sequence

import torch

from gist.decode import KVState, read_rows
from gist.embedding import first_gist_id
from gist.layout import GistPlan, spread
from gist.models.model import LanguageModel
from gist.windows import Segment, Segments, allocate_gists, join_segments
from harness.errors import UserError

FAN_IN, FIRST_RATIO = 2, 4.0  # windows that a gist reads, and their compression, in training


def allocate_condensed(
    read: Sequence[int], gists: int, *, fan_in: int, plan: GistPlan
) -> tuple[int, ...]:
    """Allocate `gists` of the second level to groups of windows, by those `read` of each window.

    Raises:
        UserError: fewer gists than groups.
    """
    groups = [sum(read[first : first + fan_in]) for first in range(0, len(read), fan_in)]
    return tuple(min(share, plan.rows) for share in allocate_gists(groups, gists, plan))


def condense_segments(
    lm: LanguageModel, segments: Segments, *, fan_in: int, gists: Sequence[int], plan: GistPlan
) -> Segments:
    """Return fewer segments: each stands for `fan_in` of those given, with so many `gists`.

    The adapter must be loaded. Gradients flow where they are enabled.

    Raises:
        UserError: more gists in a group than the adapter has embeddings, or than entries are read.
        ContextTooLong, OutOfMemory: as `gist.decode.read`.
    """
    parts = segments.parts
    groups = [parts[first : first + fan_in] for first in range(0, len(parts), fan_in)]
    condensed = [
        _condense_one(lm, segments.prefix, group, gists=count, plan=plan)
        for group, count in zip(groups, gists, strict=True)
    ]
    return Segments(segments.prefix, tuple(condensed))


condense = torch.inference_mode()(condense_segments)
"""`condense_segments` for answering."""


def _condense_one(
    lm: LanguageModel, prefix: KVState, parts: Sequence[Segment], *, gists: int, plan: GistPlan
) -> Segment:
    state = join_segments(lm, prefix, parts)
    entries = state.entries
    limit = min(plan.rows, entries - prefix.entries)
    if gists > limit:
        raise UserError(
            f"{gists} gists cannot be read from {entries - prefix.entries} entries by an adapter "
            f"with {plan.rows} embeddings: at most {limit}. Give fewer tokens, or a larger ratio."
        )
    start = len(lm.prompt.before)
    positions = spread(start, state.next_position, gists)
    lm.reserve(state.next_position, entries=entries + gists, new_tokens=gists, batch=1)
    first = first_gist_id(lm.model)
    ids = lm.ids([list(range(first, first + gists))])
    # The cache was joined for this: nobody else holds it.
    read_rows(lm.model, ids, lm.ids([positions]), state.cache)
    kept = state.keep(range(entries, entries + gists))
    return Segment(kept, tuple(positions), span=state.next_position - start)
