"""The same arithmetic in fewer passes over memory, for training on a CPU.

Where a processor multiplies in tiles (AMX), the products of a step take a small part of its time,
and stock code spends the rest on wide temporaries: each LoRA layer makes three, and the backward
pass of sdpa on a CPU takes five times its forward pass. Here LoRA layers and attention are one
autograd function each. Nothing but the order of rounding differs, which tests hold in float64.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import nn
from torch.nn import functional as F

from gist.sdpa import SdpaMode

HIDDEN = -30000.0  # added to scores of hidden columns; in bfloat16 and float16, too, exp gives 0
LARGEST = 2**23  # attention weights that a layer keeps for its backward pass; sdpa keeps none


@contextmanager
def fused(model: nn.Module, device: torch.device) -> Iterator[None]:
    """While it is entered, LoRA layers and attention train by the functions below.

    On other devices than a CPU, and in layers that are not plain ones, nothing changes. It does not
    go with gradient checkpointing, whose second forward pass runs where no mode is entered.
    """
    if device.type != "cpu":
        yield
        return
    layers = [module for module in model.modules() if _is_plain(module)]
    for layer in layers:
        layer.forward = partial(_lora_forward, layer, layer.forward)
    try:
        with _Attention():
            yield
    finally:
        for layer in layers:
            del layer.forward  # that of its class shows again


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is one adapter's LoRA, without dropout, on a linear layer of torch."""
    return (
        type(module) is LoraLinear
        and type(module.base_layer) is nn.Linear
        and list(module.lora_A) == ["default"]
        and isinstance(module.lora_dropout["default"], nn.Identity)
        and not module.lora_variant
    )


def _lora_forward(layer: Any, stock: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    if layer.disable_adapters or layer.merged:
        return stock(x)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    weight, bias = layer.base_layer.weight, layer.base_layer.bias
    kind = _computed(weight.dtype)
    rows = x.reshape(-1, x.shape[-1]).to(kind)  # (batch x tokens, in)
    bias = None if bias is None else bias.to(kind)
    found: torch.Tensor = _Lora.apply(rows, weight.to(kind), bias, a, b, layer.scaling["default"])  # type: ignore[no-untyped-call]  # torch declares none
    return found.view(*x.shape[:-1], -1)


def _computed(dtype: torch.dtype) -> torch.dtype:
    """Return what autocast would compute in; it does not reach into a backward pass of ours."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else dtype


class _Lora(torch.autograd.Function):
    """x W' + bias + scale (x A') B': W is frozen, A and B stay in the precision they learn in."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,  # (rows, in)
        weight: torch.Tensor,  # (out, in)
        bias: torch.Tensor | None,  # (out,)
        a: torch.Tensor,  # (rank, in)
        b: torch.Tensor,  # (out, rank)
        scale: float,
    ) -> torch.Tensor:
        kinds, a, b = (a.dtype, b.dtype), a.to(x.dtype), b.to(x.dtype)
        inner = (x @ a.t()).mul_(scale)  # (rows, rank)
        y = F.linear(x, weight, bias).addmm_(inner, b.t())
        ctx.save_for_backward(x, inner, weight, a, b)
        ctx.scale, ctx.kinds = scale, kinds
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, inner, weight, a, b = ctx.saved_tensors
        (grad,) = grads
        through = (grad @ b).mul_(ctx.scale)  # (rows, rank)
        to_x = (grad @ weight).addmm_(through, a) if ctx.needs_input_grad[0] else None
        to_a, to_b = through.t() @ x, grad.t() @ inner
        return to_x, None, None, to_a.to(ctx.kinds[0]), to_b.to(ctx.kinds[1]), None


class _Attention(SdpaMode):
    """While it is entered, sdpa with gradients is `_Softmax`."""

    def __init__(self) -> None:
        super().__init__()
        self._mask: torch.Tensor | None = None  # of one pass: all its layers are given the same
        self._bias = torch.empty(0)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Attend as torch does, or by a function that keeps its weights."""
        if torch.is_grad_enabled() and query.shape[:3].numel() * key.shape[2] <= LARGEST:
            return self._attend(query, key, value, *args, **kwargs)
        return super().attend(query, key, value, *args, **kwargs)

    def _attend(
        self,
        query: torch.Tensor,  # (batch, heads, rows, head_dim)
        key: torch.Tensor,  # (batch, kv_heads, columns, head_dim)
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,  # noqa: ARG002 - heads are grouped either way
    ) -> torch.Tensor:
        assert dropout_p == 0, "a training with dropout would not equal asking"
        query, key, value = (each.to(_computed(each.dtype)) for each in (query, key, value))
        shape = (query.shape[2], key.shape[2])
        if attn_mask is None:
            attn_mask = torch.ones(shape, dtype=torch.bool)
            attn_mask = attn_mask.tril() if is_causal else attn_mask
        if attn_mask is not self._mask:
            self._mask, self._bias = attn_mask, attn_mask
            if attn_mask.dtype == torch.bool:
                self._bias = torch.zeros(attn_mask.shape, dtype=query.dtype)
                self._bias.masked_fill_(~attn_mask, HIDDEN)
        found: torch.Tensor = _Softmax.apply(
            query, key, value, self._bias, scale or query.shape[-1] ** -0.5
        )  # type: ignore[no-untyped-call]  # torch declares none
        return found


class _Softmax(torch.autograd.Function):
    """softmax(scale q k' + bias) v, heads that share keys in one product."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bias: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        batch, heads, rows, dim = query.shape
        groups = batch * key.shape[1]
        q = (query * scale).reshape(groups, -1, dim)  # (groups, heads of it x rows, dim)
        k, v = (each.reshape(groups, -1, dim) for each in (key, value))
        scores = q @ k.transpose(1, 2)
        scores.view(batch, heads, rows, -1).add_(bias)
        share = scores.softmax(dim=-1)  # (groups, heads of it x rows, columns)
        found = share @ v
        ctx.save_for_backward(q, k, v, share, found)
        ctx.scale, ctx.shapes = scale, (query.shape, key.shape)
        return found.view(batch, heads, rows, dim)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, share, found = ctx.saved_tensors
        grad = grads[0].reshape(found.shape)
        wide = grad @ v.transpose(1, 2)  # as `share`
        wide.sub_((grad * found).sum(dim=-1, keepdim=True)).mul_(share)
        to_q, to_k = (wide @ k).mul_(ctx.scale), wide.transpose(1, 2) @ q
        to_v = share.transpose(1, 2) @ grad
        like_q, like_k = ctx.shapes
        return to_q.view(like_q), to_k.view(like_k), to_v.view(like_k), None, None
