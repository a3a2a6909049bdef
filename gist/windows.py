"""Documents longer than a model's positions: segments compressed apart, their gists joined.

    read apart    before s0 G0 G1 | before s1 G2 G3 | before s2 G4 G5
    kept          before G0 G1 G2 G3 G4 G5
    positions     each segment's behind those of the one before it, all drawn together evenly
                  into the range of the longest segment

Every segment is read with the prompt's beginning in front, as the adapter was trained, and knows
nothing of the other segments. Keys are moved by `gist.rotary` into a range that the adapter knows:
set at the positions of the full text, eight windows of 512 tokens gave fewer answers back than
drawn together (5 of 9 pass keys, and 9 of 9, by the reference model at a ratio of 4). Gists so
close, and of segments that do not know each other, are not what the adapter was trained for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from transformers import DynamicCache

from gist.compress import compress
from gist.decode import KVState, entries_of
from gist.errors import GistError
from gist.layout import GIST, GistPlan, lay_out, most_gists
from gist.model import LanguageModel
from gist.rotary import check_movable, rotate


@dataclass(frozen=True, slots=True)
class Entries:
    """Some tokens' keys and values, layer by layer: each (1, kv_heads, entries, head_dim)."""

    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @property
    def count(self) -> int:
        """Entries per layer."""
        return int(self.layers[0][0].shape[2])

    @property
    def held_bytes(self) -> int:
        """Bytes of the storage behind them."""
        return sum(int(t.untyped_storage().nbytes()) for pair in self.layers for t in pair)


@dataclass(frozen=True, slots=True)
class Segment:
    """The gists of one segment, and where they were read."""

    gists: Entries
    positions: tuple[int, ...]  # of each gist; the segment began at `start`
    start: int
    end: int  # position after the segment

    @property
    def span(self) -> int:
        """Positions that the segment took."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Segments:
    """A context as segments that were compressed apart."""

    prefix: Entries  # of the prompt's beginning; none where the plan drops it
    parts: tuple[Segment, ...]

    @property
    def held_bytes(self) -> int:
        """Bytes of all entries kept."""
        return self.prefix.held_bytes + sum(part.gists.held_bytes for part in self.parts)

    def none(self) -> "Segments":
        """Return what is left when all is given back."""
        return Segments(Entries(()), ())


def share_gists(sizes: Sequence[int], gists: int, plan: GistPlan) -> list[int]:
    """Share gists among segments by their tokens; each has one at least, and what it has room for.

    Raises:
        GistError: fewer gists than segments.
    """
    if gists < len(sizes):
        raise GistError(
            f"{gists} gists for {len(sizes)} windows: each needs one. Give more tokens, or more "
            "window_tokens."
        )
    total, spare = sum(sizes), gists - len(sizes)
    edges = [round(spare * done / total) for done in accumulate(sizes, initial=0)]
    shares = [1 + end - start for start, end in pairwise(edges)]
    return [min(share, most_gists(size, plan)) for share, size in zip(shares, sizes, strict=True)]


def compress_segments(
    lm: LanguageModel, contexts: Sequence[Sequence[int]], gists: Sequence[int], plan: GistPlan
) -> Segments:
    """Compress each of several token sequences by itself; the adapter must be on the model.

    Raises:
        GistError: more gists than a segment has tokens, or than the adapter can place; or a model
            whose keys cannot be moved.
        TooLong, DoesNotFit: as `gist.decode.read`.
    """
    check_movable(lm.model)
    prefix: Entries | None = None
    parts = []
    for context, count in zip(contexts, gists, strict=True):
        read_prefix, part = _compress_one(lm, context, gists=count, plan=plan)
        prefix = prefix or read_prefix  # alike for all: nothing stands in front of it
        parts.append(part)
    assert prefix is not None, "a context has a segment at least"
    return Segments(prefix, tuple(parts))


def _compress_one(
    lm: LanguageModel, context: Sequence[int], *, gists: int, plan: GistPlan
) -> tuple[Entries, Segment]:
    state = compress(lm, context, gists=gists, plan=plan)
    before = lm.prompt.before
    layout = lay_out(before, context, gists=gists, first_gist_id=0, plan=plan)
    prefix_entries = state.entries - gists
    positions = [p for p, kind in zip(layout.positions, layout.kinds, strict=True) if kind == GIST]
    segment = Segment(
        taken(state, prefix_entries, state.entries),
        tuple(positions),
        start=len(before),
        end=layout.next_position,
    )
    return taken(state, 0, prefix_entries), segment


def taken(state: KVState, first: int, end: int) -> Entries:
    """Copy a range of a state's entries."""
    pairs = []
    for layer in state.cache.layers:
        keys, values = entries_of(layer)
        pairs.append((keys[:, :, first:end].clone(), values[:, :, first:end].clone()))
    return Entries(tuple(pairs))


@torch.inference_mode()
def join(
    lm: LanguageModel, prefix: Entries, parts: Sequence[Segment], *, room: int | None = None
) -> KVState:
    """Set segments one after another, as if they had been read in this order.

    Args:
        lm: the model that has read them.
        prefix: the entries in front.
        parts: segments, in the order in which they are to stand.
        room: positions that they may take together, by default those of the longest segment.
    """
    start = len(lm.prompt.before)
    offsets = list(accumulate((part.span for part in parts), initial=0))
    total = offsets[-1]
    target = min(total, max(part.span for part in parts) if room is None else room)
    moved = [
        [start + (offset + position - part.start) * target // total for position in part.positions]
        for offset, part in zip(offsets, parts, strict=False)
    ]
    cache = DynamicCache()
    for number, (keys, values) in enumerate(prefix.layers):
        turned = [
            rotate(part.gists.layers[number][0], part.positions, positions, lm.model)
            for part, positions in zip(parts, moved, strict=True)
        ]
        cache.update(
            torch.cat([keys, *turned], dim=2),
            torch.cat([values, *(part.gists.layers[number][1] for part in parts)], dim=2),
            number,
        )
    return KVState(cache, start + target)
