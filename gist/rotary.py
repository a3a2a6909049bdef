"""Move keys to other positions: undo the rotation they were read with, and apply another.

Both are the model's own: its rotary embedding gives the angles and the function of its module
turns the keys, so partial and scaled rotations are moved as the model rotates them. Values carry
no position and need nothing.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from harness.errors import UserError

Positions = Sequence[int] | Sequence[Sequence[int]]
"""Of each entry: the same for all rows of a batch, or a list for each row."""

# Others take their angles from the length of the sequence that is read, which is gone by now.
FIXED_ANGLES = ("default", "linear", "llama3", "yarn")


def rotate(
    keys: torch.Tensor,
    from_positions: Positions,
    to_positions: Positions,
    model: PreTrainedModel,
) -> torch.Tensor:
    """Return keys as they would be, had they been read at other positions.

    Args:
        keys: one layer's, (batch, kv_heads, entries, head_dim), as the cache holds them.
        from_positions: the position at which each entry was read.
        to_positions: the position that each entry is to have.
        model: whose keys they are.

    Returns:
        Keys of the same shape and dtype; computed in float32, or in float64 if they are.

    Raises:
        UserError: the model's keys hold no rotation that can be undone.
    """
    angles, turn = _rotation_of(model)
    if list(from_positions) == list(to_positions):
        return keys  # to the bit
    exact = keys.to(torch.promote_types(keys.dtype, torch.float32))
    was, becomes = (
        torch.tensor(list(positions), device=keys.device).view(-1, keys.shape[2])
        for positions in (from_positions, to_positions)
    )  # (1 or batch, entries)
    cos, sin = angles(exact, was)  # (1 or batch, entries, rotary_dim)
    length = cos**2 + sin**2  # not 1 where the model scales its rotation
    part, rest = exact[..., : cos.shape[-1]], exact[..., cos.shape[-1] :]  # some turn a part
    unturned = turn(part, part, cos / length, -sin / length)[1]
    turned = turn(unturned, unturned, *angles(exact, becomes))[1]
    return torch.cat([turned, rest], dim=-1).to(keys.dtype)


def check_movable(model: PreTrainedModel) -> None:
    """Refuse a model whose keys cannot be moved.

    Raises:
        UserError: with what its positions are.
    """
    _rotation_of(model)


def _rotation_of(model: PreTrainedModel) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what gives a model's (cos, sin), and what turns queries and keys by them."""
    config = model.config.get_text_config()
    kind = model.config.model_type
    angles = getattr(model.get_decoder(), "rotary_emb", None)
    turn = getattr(sys.modules[type(model).__module__], "apply_rotary_pos_emb", None)
    rope_type = getattr(angles, "rope_type", None)
    if angles is None or turn is None or rope_type is None:
        raise UserError(f"the keys of a {kind} model have no rotary positions to move")
    if rope_type not in FIXED_ANGLES:
        raise UserError(
            f"the keys of this {kind} model cannot be moved: its rotary positions are of type "
            f"{rope_type!r}. Allowed: {', '.join(FIXED_ANGLES)}."
        )
    one_for_all = 0 not in (getattr(config, "no_rope_layers", None) or ())
    given = list(inspect.signature(angles.forward).parameters)
    if not one_for_all or given != ["x", "position_ids"]:
        raise UserError(f"the layers of a {kind} model rotate differently: keys cannot be moved")
    return angles, turn
