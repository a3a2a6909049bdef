"""Keep KV entries in 2, 4 or 8 bits, and read them as numbers again for each request.

    kept exactly   before                      every backend keeps it, and it holds the sink
    packed         keys     per channel        groups of 32 entries in a row
                   values   per entry          groups of 32 of the head's dimensions

Each group has a minimum and a step in float16; a number is stored as its steps above the minimum.
Keys have channels that are large in every entry, values have not, so that keys are grouped along
the entries (KIVI, arXiv 2402.02750). Fewer entries than a group of keys are grouped as values are:
their minimum and step would cost more than the numbers. Entries in front of the context stay exact
(as IntactKV's pivot tokens, arXiv 2403.01241).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import DynamicCache

from gist.caches import entries_of
from gist.decode import KVState
from gist.models.model import LanguageModel

GROUP = 32


@dataclass(frozen=True, slots=True)
class Packed:
    """A tensor as codes of a few bits, each group with its minimum and step."""

    codes: torch.Tensor  # uint8 (bytes,), 8 / bits codes in each, the first in the lowest bits
    minimum: torch.Tensor  # float16 (..., groups)
    step: torch.Tensor  # float16 (..., groups)
    bits: int
    size: int  # numbers in a row; the last group may be shorter than the others
    by_entry: bool  # grouped along the last dimension, not the one before it

    @property
    def held_bytes(self) -> int:
        """Bytes of the codes, the minima and the steps."""
        tensors = (self.codes, self.minimum, self.step)
        return sum(int(tensor.untyped_storage().nbytes()) for tensor in tensors)


def pack(tensor: torch.Tensor, bits: int, *, by_entry: bool) -> Packed:
    """Pack numbers in groups of 32.

    Args:
        tensor: (batch, kv_heads, entries, head_dim), finite.
        bits: 2, 4 or 8.
        by_entry: group along head_dim; else along the entries.
    """
    rows = tensor if by_entry else tensor.transpose(2, 3)
    size = rows.shape[-1]
    groups = _grouped(rows.float())  # (batch, kv_heads, rows, groups, GROUP)
    minimum = groups.amin(dim=-1).half()
    highest = 2**bits - 1
    step = ((groups.amax(dim=-1) - minimum.float()) / highest).half()
    # A step that float16 rounds to 0 is that of a group without any spread.
    steps = torch.where(step > 0, step, 1).float()[..., None]
    codes = ((groups - minimum.float()[..., None]) / steps).round().clamp(0, highest)
    flat = codes.flatten(-2)[..., :size].to(torch.uint8).flatten()  # (numbers,)
    return Packed(_to_bytes(flat, bits), minimum, step, bits, size, by_entry)


def unpack(packed: Packed, dtype: torch.dtype) -> torch.Tensor:
    """Return (batch, kv_heads, entries, head_dim): near by half a step, and float16's rounding."""
    shape = (*packed.minimum.shape[:-1], packed.size)
    numbers = int(torch.tensor(shape).prod())
    codes = _from_bytes(packed.codes, packed.bits)[:numbers].view(shape)

    def each(of_groups: torch.Tensor) -> torch.Tensor:
        return of_groups.float().repeat_interleave(GROUP, dim=-1)[..., : packed.size]

    rows = (codes * each(packed.step) + each(packed.minimum)).to(dtype)
    return rows if packed.by_entry else rows.transpose(2, 3)


@dataclass
class PackedState:
    """KV entries of a text that has been read: the first exact, the others packed."""

    exact: KVState
    layers: list[tuple[Packed, Packed]]  # keys and values behind the exact ones
    entries: int  # of both
    next_position: int

    @property
    def held_bytes(self) -> int:
        """Bytes of the exact entries, and of the others as they are packed."""
        packed = sum(each.held_bytes for layer in self.layers for each in layer)
        return self.exact.held_bytes + packed

    @torch.inference_mode()
    def opened(self, lm: LanguageModel) -> KVState:
        """Return the entries as numbers, in memory of their own.

        Raises:
            OutOfMemory: more memory than there is, foreseen.
        """
        lm.reserve(self.next_position, entries=self.entries, new_tokens=0, batch=1)
        cache = DynamicCache()
        for number, (layer, packed) in enumerate(
            zip(self.exact.cache.layers, self.layers, strict=True)
        ):
            keys, values = (
                torch.cat([exact, unpack(each, exact.dtype)], dim=2)
                for exact, each in zip(entries_of(layer), packed, strict=True)
            )
            cache.update(keys, values, number)
        return KVState(cache, self.next_position)

    def clear(self) -> None:
        """Drop the entries."""
        self.exact.clear()
        self.layers.clear()


@torch.inference_mode()
def pack_state(state: KVState, bits: int, *, exact: int) -> PackedState:
    """Pack all entries of a state but the first `exact`; the state is left as it is."""
    behind = state.entries - exact
    layers = []
    for layer in state.cache.layers:
        keys, values = (tensor[:, :, exact:] for tensor in entries_of(layer))
        layers.append(
            (pack(keys, bits, by_entry=behind < GROUP), pack(values, bits, by_entry=True))
        )
    return PackedState(state.keep(range(exact)), layers, state.entries, state.next_position)


def _grouped(rows: torch.Tensor) -> torch.Tensor:
    """Return (..., groups, GROUP); the last group is filled with its last number."""
    missing = -rows.shape[-1] % GROUP
    if missing:
        rows = torch.cat([rows, rows[..., -1:].expand(*rows.shape[:-1], missing)], dim=-1)
    return rows.reshape(*rows.shape[:-1], -1, GROUP)


def _to_bytes(codes: torch.Tensor, bits: int) -> torch.Tensor:
    each = 8 // bits
    padded = F.pad(codes, (0, -len(codes) % each)).view(-1, each)  # (bytes, codes in each)
    shifts = torch.arange(0, 8, bits, device=codes.device, dtype=torch.uint8)
    return (padded << shifts).sum(dim=-1, dtype=torch.uint8)


def _from_bytes(codes: torch.Tensor, bits: int) -> torch.Tensor:
    shifts = torch.arange(0, 8, bits, device=codes.device, dtype=torch.uint8)
    return torch.bitwise_and(codes[:, None] >> shifts, 2**bits - 1).flatten()
