"""Gradient checkpointing that keeps the KV entries of a pass, so that a second pass can read them.

A decoder layer keeps its input and its KV entries, and is computed again when its gradient's turn
comes (Chen et al. 2016, arXiv 1604.06174). What transformers brings drops the cache: there a layer
returns its hidden states alone, and entries that are written on the side get no gradient. Here they
are what a layer returns besides.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.modeling_layers import GradientCheckpointingLayer

from gist.caches import entries_of


class _Entries:
    """The cache that one layer sees: its own entries so far, and those that it adds."""

    def __init__(self, *past: torch.Tensor) -> None:
        self.pair = past

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, ...]:
        """Return all entries, each (batch, kv_heads, entries, head_dim)."""
        added = (keys, values)
        past = zip(self.pair, added, strict=True)
        self.pair = tuple(torch.cat(both, dim=2) for both in past) if self.pair else added
        return self.pair


@contextmanager
def checkpointed(model: nn.Module) -> Iterator[None]:
    """Compute the layers again in the backward pass, in training mode and with gradients enabled.

    The backward pass itself may come after it is left.
    """
    layers = [each for each in model.modules() if isinstance(each, GradientCheckpointingLayer)]
    for number, layer in enumerate(layers):
        layer.forward = partial(_forward, layer, layer.forward, number)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # that of its class shows again


def _forward(
    layer: nn.Module,
    stock: Callable[..., torch.Tensor],
    number: int,
    hidden: torch.Tensor,
    *,
    past_key_values: DynamicCache | None = None,
    **given: Any,
) -> torch.Tensor:
    if not (layer.training and torch.is_grad_enabled()):
        return stock(hidden, past_key_values=past_key_values, **given)
    if past_key_values is None:
        found: torch.Tensor = checkpoint(partial(stock, **given), hidden, use_reentrant=False)
        return found
    layers: list[Any] = past_key_values.layers

    def run(hidden: torch.Tensor, *past: torch.Tensor) -> tuple[torch.Tensor, ...]:
        own = _Entries(*past)
        return stock(hidden, past_key_values=own, **given), *own.pair

    past = entries_of(layers[number]) if number < len(layers) else ()
    found, keys, values = checkpoint(run, hidden, *past, use_reentrant=False)
    layers[number : number + 1] = [DynamicLayer()]
    layers[number].update(keys, values)
    return found
