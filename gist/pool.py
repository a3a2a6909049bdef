"""Mean-pool the KV entries of a context: as many as gists would be, with nothing learned.

    read          before | c0 c1 c2 c3 c4 c5        positions 0 | 1 2 3 4 5 6
    groups                 c0 c1 c2   c3 c4 c5
    keep          before |    P0         P1         positions 0 |   2     5        next 7

Keys are rotated back to position 0 before they are averaged: keys of different positions point in
different directions, and their plain mean would be an unfair baseline. The mean is rotated to a
position inside its group's range, where `gist.layout` puts spread gists.
"""

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from gist.decode import KVState, entries_of, read
from gist.layout import spread
from gist.models.model import LanguageModel
from gist.rotary import rotate


def mean_pool(lm: LanguageModel, context: Sequence[int], *, entries: int) -> KVState:
    """Return the KV entries of `before`, and `entries` means of those of the context.

    Raises:
        UserError: the model's keys hold no rotation that can be undone.
        ContextTooLong, OutOfMemory: as `gist.decode.read`.
    """
    start = len(lm.prompt.before)
    return pooled(lm, read(lm, [*lm.prompt.before, *context]), start=start, entries=entries)


@torch.inference_mode()
def pooled(lm: LanguageModel, state: KVState, *, start: int, entries: int) -> KVState:
    """Return a state in which `entries` means stand for all entries from `start` on.

    Args:
        lm: the model.
        state: the entries of a text read at the positions 0, 1, 2, ...; is left as it is.
        start: entries in front, kept as they are.
        entries: means that are kept, at least 1 and at most as many as there are entries.
    """
    context = list(range(start, state.entries))
    n = len(context)
    sizes = [n * (i + 1) // entries - n * i // entries for i in range(entries)]

    def means(tensor: torch.Tensor) -> torch.Tensor:
        groups = tensor.split(sizes, dim=2)  # entries times (1, kv_heads, size, head_dim)
        return torch.stack([group.mean(dim=2) for group in groups], dim=2)

    positions = spread(start, state.entries, entries)
    kept = DynamicCache()
    for number, layer in enumerate(state.cache.layers):
        keys, values = entries_of(layer)
        exact = torch.promote_types(keys.dtype, torch.float32)
        unturned = rotate(keys[:, :, start:].to(exact), context, [0] * n, lm.model)
        turned = rotate(means(unturned), [0] * entries, positions, lm.model)
        averaged = means(values[:, :, start:].to(exact))
        kept.update(
            _behind(keys[:, :, :start], turned), _behind(values[:, :, :start], averaged), number
        )
    return KVState(kept, state.next_position)


def _behind(prefix: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    return torch.cat([prefix, means.to(prefix.dtype)], dim=2)  # (1, kv_heads, kept, head_dim)
