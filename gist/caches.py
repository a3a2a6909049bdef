"""KV entries in transformers' caches: read them, copy some of them, make room for more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


def entries_of(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a layer's keys and values, each (batch, kv_heads, entries, head_dim)."""
    assert isinstance(layer, DynamicLayer), "only full attention keeps every entry"
    assert isinstance(layer.keys, torch.Tensor), "nothing has been read yet"
    assert isinstance(layer.values, torch.Tensor)
    return layer.keys, layer.values


def map_entries(change: Callable[..., torch.Tensor], *caches: DynamicCache) -> DynamicCache:
    """Return a cache of other storage: what `change` makes of each layer's keys, and its values.

    It is given a tensor of each of the caches: (batch, kv_heads, entries, head_dim).
    """
    made = DynamicCache()
    for number, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        keys, values = zip(*map(entries_of, layers), strict=True)
        made.update(change(*keys), change(*values), number)
    return made


def gathered(entries: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Copy some entries of (batch, kv_heads, entries, head_dim).

    `index` is (kept,), or has the batch and the heads, or 1 for all of them, in front of that.
    """
    where = index.expand(*entries.shape[:2], -1)[..., None]  # (batch, kv_heads, kept, 1)
    return entries.gather(2, where.expand(-1, -1, -1, entries.shape[3]))


def select(cache: DynamicCache, index: torch.Tensor) -> DynamicCache:
    """Copy the entries at `index` (batch, kept) into a cache of other storage."""
    return map_entries(lambda entries: gathered(entries, index[:, None]), cache)


class _RoomyLayer(DynamicLayer):
    """A copy of a layer, with room for what decoding adds: to grow is not to copy all of it."""

    def __init__(self, layer: Any, *, batch: int, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        keys, values = entries_of(layer)
        self.lazy_initialization(keys, values)
        shape = (batch, keys.shape[1], keys.shape[2] + room)
        self._keys = keys.new_empty(*shape, keys.shape[3])  # (batch, kv_heads, capacity, head_dim)
        self._values = values.new_empty(*shape, values.shape[3])
        self.update(keys, values)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write entries behind the others; of a batch of one, into every row. Return all."""
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        self._keys[:, :, start:end] = key_states
        self._values[:, :, start:end] = value_states
        self.keys, self.values = self._keys[:, :, :end], self._values[:, :, :end]
        return self.keys, self.values


@contextmanager
def with_room(cache: DynamicCache, *, batch: int, room: int) -> Iterator[DynamicCache]:
    """Yield a cache with room for so many more entries, and restore what it held.

    Several rows get a copy each. The cache of one row is moved layer by layer, and back, so that a
    long context is never held twice.
    """
    layers: list[Any] = cache.layers
    if batch > 1:
        copy = DynamicCache()
        copy.layers.extend(_RoomyLayer(layer, batch=batch, room=room) for layer in layers)
        yield copy
        return
    entries = cache.get_seq_length()
    try:
        for number, layer in enumerate(layers):
            layers[number] = _RoomyLayer(layer, batch=1, room=room)
        yield cache
    finally:
        for number, layer in enumerate(layers):
            keys, values = entries_of(layer)
            layers[number] = DynamicLayer()
            layers[number].update(keys[:, :, :entries], values[:, :, :entries])
