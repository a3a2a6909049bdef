"""Look at, or change, what every attention of a model is given: after RoPE, in any architecture."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from harness.errors import UserError

Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Queries, keys and values, each (batch, heads, tokens, head_dim)."""
Change = Callable[[Inputs, float], Inputs]
"""Takes what an attention is given, and the factor of its scores; returns what it is to get."""


class EachAttention(TorchFunctionMode):
    """While it is entered, every call of sdpa in this thread goes through `change` first.

    Backward runs elsewhere, so nothing is seen that gradient checkpointing computes again.
    """

    def __init__(self, change: Change) -> None:
        super().__init__()
        self._change = change
        self._seen = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func`, sdpa with changed inputs."""
        if func is F.scaled_dot_product_attention:
            self._seen += 1
            scale = (kwargs or {}).get("scale") or args[0].shape[-1] ** -0.5
            args = (*self._change((args[0], args[1], args[2]), scale), *args[3:])
        return func(*args, **(kwargs or {}))

    def check_seen(self, layers: int) -> None:
        """Refuse to say anything of a model whose attentions did not all come by.

        Raises:
            UserError: other than one call for each of `layers`.
        """
        if self._seen != layers:
            raise UserError(
                f"{self._seen} of {layers} layers attend through torch's sdpa, and only there can "
                "attention be looked at. Load the model with attn_implementation sdpa."
            )
