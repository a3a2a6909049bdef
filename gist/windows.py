"""Documents longer than a model's positions: segments compressed apart, their gists joined.

    read apart    before s0 G0 G1 | before s1 G2 G3 | before s2 G4 G5
    kept          before G0 G1 G2 G3 G4 G5
    positions     each segment's behind those of the one before it, all scaled evenly
                  into the range of the longest segment

Every segment is read with the prompt's beginning in front, as the adapter was trained, and sees
nothing of the other segments. Keys are moved by `gist.rotary` into a range that the adapter knows:
the reference model found 9 of 9 pass keys in eight windows of 512 tokens at a ratio of 4, and 5 of
9 when the keys stayed at the positions of the full text. An adapter learns gists so close together,
of segments that do not see each other, where stages of its training have `window_tokens`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from transformers import DynamicCache

from gist.caches import entries_of
from gist.compress import compress, layout_for
from gist.decode import KVState
from gist.layout import GistPlan, max_gists
from gist.models.model import LanguageModel
from gist.rotary import check_movable, rotate
from harness.errors import UserError


@dataclass(frozen=True, slots=True)
class Segment:
    """The gists of one segment, and where they were read."""

    gists: KVState
    positions: tuple[int, ...]  # of each gist, behind the prompt's beginning
    span: int  # positions that the segment took


@dataclass(frozen=True, slots=True)
class Segments:
    """A context as segments that were compressed apart."""

    prefix: KVState  # of the prompt's beginning; none where the plan drops it
    parts: tuple[Segment, ...]

    @property
    def held_bytes(self) -> int:
        """Bytes of all KV entries."""
        return self.prefix.held_bytes + sum(part.gists.held_bytes for part in self.parts)

    def cleared(self) -> "Segments":
        """Return segments that hold nothing."""
        return Segments(KVState(DynamicCache(), 0), ())


def allocate_gists(sizes: Sequence[int], gists: int, plan: GistPlan) -> list[int]:
    """Allocate gists to segments by their tokens: at least one, at most what a segment can take.

    Raises:
        UserError: fewer gists than segments.
    """
    if gists < len(sizes):
        raise UserError(
            f"{gists} gists for {len(sizes)} windows: each needs one. Give more tokens, or more "
            "window_tokens."
        )
    total, spare = sum(sizes), gists - len(sizes)
    edges = [round(spare * done / total) for done in accumulate(sizes, initial=0)]
    shares = [1 + end - start for start, end in pairwise(edges)]
    return [min(share, max_gists(size, plan)) for share, size in zip(shares, sizes, strict=True)]


def compress_segments(
    lm: LanguageModel, contexts: Sequence[Sequence[int]], gists: Sequence[int], plan: GistPlan
) -> Segments:
    """Compress each of several token sequences by itself.

    The adapter must be loaded.

    Raises:
        UserError: more gists than a segment has tokens, or than the adapter can place; or a model
            whose keys cannot be moved.
        ContextTooLong, OutOfMemory: as `gist.decode.read`.
    """
    check_movable(lm.model)
    prefix: KVState | None = None
    parts = []
    for context, count in zip(contexts, gists, strict=True):
        state = compress(lm, context, gists=count, plan=plan)
        layout = layout_for(lm, context, gists=count, plan=plan)
        front = state.entries - count
        prefix = prefix or state.keep(range(front))  # the same for all: nothing stands before it
        own, end = state.keep(range(front, state.entries)), layout.next_position
        parts.append(Segment(own, tuple(layout.gist_positions), span=end - len(lm.prompt.before)))
    assert prefix is not None, "a context has a segment at least"
    return Segments(prefix, tuple(parts))


def join_segments(lm: LanguageModel, prefix: KVState, parts: Sequence[Segment]) -> KVState:
    """Join segments one after another behind `prefix`, as if they had been read in this order.

    Together they take the positions of the longest. Gradients flow where they are enabled.
    """
    start = len(lm.prompt.before)
    offsets = list(accumulate((part.span for part in parts), initial=0))
    total = offsets[-1]
    target = max(part.span for part in parts)
    moved = [
        [start + (offset + position - start) * target // total for position in part.positions]
        for offset, part in zip(offsets, parts, strict=False)
    ]
    cache = DynamicCache()
    for number, layer in enumerate(prefix.cache.layers):
        keys, values = entries_of(layer)
        gists = [entries_of(part.gists.cache.layers[number]) for part in parts]
        turned = [
            rotate(own[0], part.positions, positions, lm.model)
            for own, part, positions in zip(gists, parts, moved, strict=True)
        ]
        cache.update(
            torch.cat([keys, *turned], dim=2),
            torch.cat([values, *(own[1] for own in gists)], dim=2),
            number,
        )
    return KVState(cache, start + target)


join = torch.inference_mode()(join_segments)
"""`join_segments` for answering."""
