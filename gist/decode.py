"""Read a sequence into KV entries once; ask them any number of times, greedily.

Full context, gists, truncation and closed book all answer through `ask`: what differs between
them is only which entries the state holds. Positions and masks are always given explicitly, since
a cache that is shorter than its text would restart the positions at its own length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from gist.caches import entries_of, gathered, map_entries, with_room
from gist.models.model import LanguageModel


@dataclass
class KVState:
    """KV entries of a text that has been read, and the position that follows it."""

    cache: DynamicCache  # each layer's keys and values: (1, kv_heads, entries, head_dim)
    next_position: int

    @property
    def entries(self) -> int:
        """KV entries per layer."""
        return int(self.cache.get_seq_length())

    @property
    def held_bytes(self) -> int:
        """Bytes of the storage behind the entries: a view of a longer cache would show here."""
        tensors = [tensor for pair in map(entries_of, self.cache.layers) for tensor in pair]
        return sum(int(tensor.untyped_storage().nbytes()) for tensor in tensors)

    def keep(self, indices: Sequence[int] | torch.Tensor) -> "KVState":
        """Copy some entries; what follows them has the same position.

        Args:
            indices: (kept,), the same in every layer and head, or (layers, kv_heads, kept), so that
                each head keeps its own. Their order is that of the copy.
        """
        layers = [entries_of(layer) for layer in self.cache.layers]
        chosen = torch.as_tensor(indices, device=layers[0][0].device)
        kept = DynamicCache()
        for number, (keys, values) in enumerate(layers):
            index = chosen if chosen.dim() == 1 else chosen[number]  # ([kv_heads,] kept)
            kept.update(gathered(keys, index), gathered(values, index), number)
        return KVState(kept, self.next_position)

    def followed_by(self, other: "KVState") -> "KVState":
        """Copy these entries and, behind them, another state's, whose position comes next."""
        joined = map_entries(lambda *parts: torch.cat(parts, dim=2), self.cache, other.cache)
        return KVState(joined, other.next_position)

    def opened(self, lm: LanguageModel) -> "KVState":  # noqa: ARG002 - packed entries need it
        """Return the state: its entries are numbers already."""
        return self

    def clear(self) -> None:
        """Drop the entries."""
        self.cache.layers.clear()


@torch.inference_mode()
def read(lm: LanguageModel, ids: Sequence[int]) -> KVState:
    """Read a sequence in one forward pass and return its entries.

    Raises:
        ContextTooLong: more positions than the model has.
        OutOfMemory: more memory than there is, foreseen.
    """
    tokens = len(ids)
    lm.reserve(tokens, entries=tokens, new_tokens=tokens, batch=1)
    cache = DynamicCache()  # without a config: never a layer that forgets
    read_rows(lm.model, lm.ids([list(ids)]), lm.ids([list(range(tokens))]), cache)
    return KVState(cache, tokens)


def read_rows(model: Any, ids: torch.Tensor, positions: torch.Tensor, cache: DynamicCache) -> None:
    """Read a batch into a cache, behind what it holds; gradients flow where they are enabled.

    Args:
        model: the language model, or what wraps it in training.
        ids: (batch, tokens); all are read, so that padding may only stand on the right.
        positions: (batch, tokens).
        cache: grows by `tokens` entries in each row.
    """
    total = cache.get_seq_length() + ids.shape[1]
    model(
        input_ids=ids,
        position_ids=positions,
        # Given, since positions that jump back would else be read as packed sequences.
        attention_mask=ids.new_ones(len(ids), total),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )


@torch.inference_mode()
def ask(
    lm: LanguageModel,
    state: KVState,
    rows: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    min_new_tokens: int = 0,
) -> list[list[int]]:
    """Continue the state with each row of ids apart, greedily; the state is left as it was.

    Args:
        lm: the model.
        state: what all rows have in common.
        rows: ids that follow the state, one row per question; lengths may differ.
        max_new_tokens: the longest answer to a row.
        min_new_tokens: end tokens are not accepted before this many.

    Returns:
        The new ids of each row, its end token included if it came to one.

    Raises:
        ContextTooLong: more positions than the model has.
        OutOfMemory: more memory than there is, foreseen.
    """
    widest = max(len(row) for row in rows)
    last = state.next_position + widest + max_new_tokens
    total = state.entries + widest + max_new_tokens
    held = state.entries if len(rows) == 1 else 0  # several rows get copies
    lm.reserve(last, entries=total, new_tokens=widest, batch=len(rows), held_entries=held)
    pads = [widest - len(row) for row in rows]
    ids = lm.ids([[0] * pad + list(row) for pad, row in zip(pads, rows, strict=True)])
    start = state.next_position
    positions = lm.ids([[max(start, start + i - pad) for i in range(widest)] for pad in pads])
    seen = [[1] * state.entries + [0] * pad + [1] * (widest - pad) for pad in pads]
    mask = lm.ids(seen) if any(pads) else None  # (batch, entries + widest)
    with with_room(state.cache, batch=len(rows), room=widest + max_new_tokens) as cache:
        return _decode(lm, cache, ids, positions, mask, max_new_tokens, min_new_tokens)


def _decode(
    lm: LanguageModel,
    cache: DynamicCache,
    ids: torch.Tensor,  # (batch, fed)
    positions: torch.Tensor,  # (batch, fed)
    mask: torch.Tensor | None,  # (batch, entries + fed); None: nothing is hidden
    max_new_tokens: int,
    min_new_tokens: int,
) -> list[list[int]]:
    """Return the most likely tokens of every row, each up to its end."""
    ends = torch.tensor(sorted(lm.end_ids), device=ids.device)
    answers: list[list[int]] = [[] for _ in ids]
    unended = set(range(len(ids)))
    for step in range(max_new_tokens):
        logits = lm.model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]  # (batch, vocabulary)
        if step < min_new_tokens:
            logits[:, ends] = -torch.inf
        ids = logits.argmax(dim=-1, keepdim=True)  # (batch, 1)
        tokens = ids[:, 0].tolist()
        for row in sorted(unended):
            answers[row].append(tokens[row])
            if tokens[row] in lm.end_ids and step >= min_new_tokens:
                unended.remove(row)
        if not unended:
            break
        positions = positions[:, -1:] + 1
        if mask is not None:
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return answers
