"""Mean-pool the KV entries of a context: as many as gist tokens would be.

    read          before | c0 c1 c2 c3 c4 c5        positions 0 | 1 2 3 4 5 6
    groups                 c0 c1 c2   c3 c4 c5
    keep          before |    P0         P1         positions 0 |   2     5        next 7

Keys are rotated back to position 0 before they are averaged: keys of different positions point in
different directions, and their plain mean would be an unfair baseline. The mean is rotated to a
position inside its group's range, where `gist.layout` puts spread gists.

The backend mean_pool does so with the model as it is. An adapter of `placement: pool` is trained
for it: gradients go through the means into the pass that reads the context. `placement: residual`
has gist tokens at the end besides, and adds what they hold to the means: a gate for each layer and
head scales it, which starts at 0, so that training starts from means and can only add to them.
"""

from collections.abc import Sequence

import torch
from transformers import DynamicCache, PreTrainedModel

from gist.caches import entries_of
from gist.decode import KVState, read
from gist.layout import spread
from gist.models.model import LanguageModel
from gist.rotary import rotate


@torch.inference_mode()
def mean_pool(lm: LanguageModel, context: Sequence[int], *, entries: int) -> KVState:
    """Return the KV entries of `before`, and `entries` that are means of the context's.

    Raises:
        UserError: the model's keys hold no rotation that can be undone.
        ContextTooLong, OutOfMemory: as `gist.decode.read`.
    """
    start = len(lm.prompt.before)
    state = read(lm, [*lm.prompt.before, *context])
    positions = spread(start, state.entries, entries)
    cache = pooled(lm.model, state.cache, start=start, sizes=[len(context)], positions=[positions])
    return KVState(cache, state.next_position)


def pooled(
    model: PreTrainedModel,
    cache: DynamicCache,
    *,
    start: int,
    sizes: Sequence[int],
    positions: Sequence[Sequence[int]],
) -> DynamicCache:
    """Return a cache in which means stand for all entries from `start` on.

    Args:
        model: whose keys they are.
        cache: of texts read at the positions 0, 1, 2, ...; is left as it is.
        start: entries in front, kept as they are.
        sizes: entries of each row behind `start`; the others are padding.
        positions: of each row's means, of which it has at least 1 and at most `sizes`; rows with
            fewer than the longest end in padding.
    """
    counts = [len(row) for row in positions]
    widest = max(counts)
    padded = [[*row, *[0] * (widest - len(row))] for row in positions]
    zeros = [[0] * widest for _ in positions]
    device = entries_of(cache.layers[0])[0].device
    index, there = (each.to(device) for each in _groups(sizes, counts))
    share = there.sum(dim=-1, keepdim=True).clamp(min=1)  # (batch, 1, means, 1)

    def means(tensor: torch.Tensor) -> torch.Tensor:
        batch, heads, _, dim = tensor.shape
        where = index.view(batch, 1, -1, 1).expand(-1, heads, -1, dim)
        members = tensor.gather(2, where).view(batch, heads, *index.shape[1:], dim)
        total = torch.where(there[..., None], members, 0).sum(dim=3)
        return total / share  # (batch, kv_heads, means, head_dim)

    kept = DynamicCache()
    for number, layer in enumerate(cache.layers):
        keys, values = entries_of(layer)
        exact = torch.promote_types(keys.dtype, torch.float32)
        read_at = list(range(start, keys.shape[2]))
        unrotated = rotate(keys[:, :, start:].to(exact), read_at, [0] * len(read_at), model)
        rotated = rotate(means(unrotated), zeros, padded, model)
        averaged = means(values[:, :, start:].to(exact))
        kept.update(
            _behind(keys[:, :, :start], rotated), _behind(values[:, :, :start], averaged), number
        )
    return kept


def with_own(means: DynamicCache, own: DynamicCache, gates: torch.Tensor) -> DynamicCache:
    """Return means plus what gist tokens hold at the same positions, scaled.

    Rotation is linear, so that the sum of rotated keys is the rotated sum.

    Args:
        means: as `pooled` returns them; the last entries are means.
        own: of the gist tokens, a row for each of `means`, as many as there are means.
        gates: of keys and values, (layers, 2, kv_heads).
    """
    kept = DynamicCache()
    for number, (mean, gist) in enumerate(zip(means.layers, own.layers, strict=True)):
        sums = []
        for gate, whole, added in zip(
            gates[number], entries_of(mean), entries_of(gist), strict=True
        ):
            start = whole.shape[2] - added.shape[2]
            scaled = gate[:, None, None].to(added.dtype) * added  # (batch, kv_heads, means, dim)
            sums.append(_behind(whole[:, :, :start], whole[:, :, start:] + scaled))
        kept.update(sums[0], sums[1], number)
    return kept


def _groups(sizes: Sequence[int], counts: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which entries each mean is of, and which of these count, in groups of like size.

    Returns:
        int64 (batch, means, largest group) and bool (batch, 1, means, largest group).
    """
    shape = (len(counts), max(counts), max(-(-n // m) for n, m in zip(sizes, counts, strict=True)))
    index, there = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.bool)
    for row, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        edges = torch.arange(count + 1) * size // count  # (count + 1,)
        members = edges[:-1, None] + torch.arange(shape[2])  # (count, largest group)
        there[row, :count] = members < edges[1:, None]
        index[row, :count] = torch.where(there[row, :count], members, 0)
    return index, there[:, None]


def _behind(prefix: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    return torch.cat([prefix, means.to(prefix.dtype)], dim=2)  # (batch, kv_heads, kept, head_dim)
