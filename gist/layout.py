"""Where the gist tokens stand among the context's tokens, and at which positions.

    end, continue     before c0 c1 c2 c3 G0 G1      positions  0  1 2 3 4  5 6    next 7
    end, spread       before c0 c1 c2 c3 G0 G1      positions  0  1 2 3 4  2 4    next 5
    interleaved       before c0 c1 G0 c2 c3 G1      (continue: 0  1 2 3 4 5 6     next 7)
    pool              before c0 c1 c2 c3            positions  0  1 2 3 4         next 5
    residual          before c0 c1 c2 c3 G0 G1      positions  0  1 2 3 4  2 4    next 5

Training and compression both lay out by this one function, so they cannot drift apart.
`spread` gives the gists positions inside the context's own range, evenly (arXiv 2409.14364);
gists among the context instead of behind it are arXiv 2412.17483's fine-grained placement.
`pool` has no gist tokens: its gists are means of the context's KV entries. `residual` adds the
entries of gist tokens to such means; see `gist.pool`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Placement = Literal["end", "interleaved", "pool", "residual"]
Positions = Literal["continue", "spread"]


@dataclass(frozen=True, slots=True)
class GistPlan:
    """How an adapter lays out its gists; fixed by training, kept in its checkpoint."""

    rows: int  # gist embeddings that the adapter has
    placement: Placement = "interleaved"
    positions: Positions = "spread"
    segment_tokens: int = 64  # interleaved: context tokens in front of each group of gists
    keep_prefix: bool = True  # what stands before the context stays in the cache

    @property
    def pools(self) -> bool:
        """Whether its gists are means of KV entries, alone or with those of gist tokens."""
        return self.placement in ("pool", "residual")


@dataclass(frozen=True, slots=True)
class Layout:
    """A sequence `before | context with gists`, token by token."""

    ids: list[int]
    positions: list[int]
    kinds: list[int]  # 0 before, 1 context, 2 gist
    gist_positions: list[int]  # of gist tokens, or of the means that are kept
    next_position: int  # of what follows the context


BEFORE, CONTEXT, GIST = 0, 1, 2


def lay_out(
    before: Sequence[int],
    context: Sequence[int],
    *,
    gists: int,
    first_gist_id: int,
    plan: GistPlan,
) -> Layout:
    """Place `gists` gist tokens into a context behind the ids `before`; 0 gives the plain sequence.

    `first_gist_id` is that of gist 0: the number of embeddings of the base model.

    Raises:
        ValueError: more gists in one group than the adapter has embeddings.
    """
    groups = _groups(len(context), gists if plan.rows else 0, plan)
    ids, positions, kinds = list(before), list(range(len(before))), [BEFORE] * len(before)
    position = len(before)
    placed = [] if plan.rows else spread(position, position + len(context), gists)
    start = 0
    for end, count in groups:
        if count > plan.rows and not plan.pools:
            raise ValueError(f"{count} gists in a row, but the adapter has {plan.rows} embeddings")
        ids += context[start:end]
        positions += range(position, position + end - start)
        kinds += [CONTEXT] * (end - start)
        ids += [first_gist_id + i % plan.rows for i in range(count)]  # in turn, where they pool
        kinds += [GIST] * count
        after = position + end - start
        own = list(range(after, after + count))
        if plan.positions == "spread" or plan.pools:
            own = spread(position, after, count)
        else:
            after += count
        positions += own
        placed += own
        position, start = after, end
    return Layout(ids, positions, kinds, placed, position)


def max_gists(context_tokens: int, plan: GistPlan) -> int:
    """Return the maximum number of gists for a context: never more than it has tokens."""
    if plan.pools:
        return context_tokens
    return min(context_tokens, plan.rows * _segments(context_tokens, plan))


def _groups(context_tokens: int, gists: int, plan: GistPlan) -> list[tuple[int, int]]:
    """Return (end of the segment in the context, gists after it) for each segment."""
    if gists == 0:
        return [(context_tokens, gists)]
    segments = min(_segments(context_tokens, plan), gists)
    ends = [context_tokens * (i + 1) // segments for i in range(segments)]
    counts = [gists * (i + 1) // segments - gists * i // segments for i in range(segments)]
    return list(zip(ends, counts, strict=True))


def _segments(context_tokens: int, plan: GistPlan) -> int:
    if plan.placement != "interleaved":
        return 1
    return max(1, round(context_tokens / plan.segment_tokens))


def spread(start: int, end: int, count: int) -> list[int]:
    """Return `count` positions in [start, end), each in the middle of an equal share."""
    share = (end - start) / max(count, 1)
    return [start + int(share * (i + 0.5)) for i in range(count)]
