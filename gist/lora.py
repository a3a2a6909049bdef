"""What LoRA adapts, and how. Imports no torch: the command line reads these defaults."""

from dataclasses import dataclass
from typing import Literal

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj")
Embeddings = Literal["rows", "full"]
""""rows" trains the gist embeddings alone; "full" the whole vocabulary and the output head too."""


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """LoRA (arXiv 2106.09685) as PEFT takes it; no dropout, or training would not equal asking."""

    rank: int = 64
    alpha: int = 128
    targets: tuple[str, ...] = ATTENTION
