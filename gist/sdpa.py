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


class SdpaMode(TorchFunctionMode):
    """While it is entered, every call of sdpa in this thread goes through `attend`.

    Backward runs elsewhere, so nothing is seen that gradient checkpointing computes again.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func`, or `attend` in place of sdpa; inside of it, sdpa is torch's own."""
        call = self.attend if func is F.scaled_dot_product_attention else func
        return call(*args, **(kwargs or {}))

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Attend as torch does; subclasses do so in their own way."""
        return F.scaled_dot_product_attention(query, key, value, *args, **kwargs)


class EachAttention(SdpaMode):
    """While it is entered, every attention goes through `change` first."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self._change = change
        self._seen = 0

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Attend with changed inputs."""
        self._seen += 1
        scale = kwargs.get("scale") or query.shape[-1] ** -0.5
        changed = self._change((query, key, value), scale)
        return super().attend(*changed, *args, **kwargs)

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
