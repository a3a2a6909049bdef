"""A causal language model with all that asking it needs: tokenizer, prompt pieces, limits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel

from gist import fit
from gist.errors import DoesNotFit, TooLong
from gist.memory import check_fits
from gist.prompt import PromptIds, TextTokenizer


@dataclass
class LanguageModel:
    """A loaded model. Built by `gist.loading.load_model`."""

    name: str
    model: PreTrainedModel
    tokenizer: TextTokenizer
    prompt: PromptIds
    end_ids: frozenset[int]  # every id that ends an answer
    max_positions: int
    fingerprint: str
    random_weights: bool = False
    load_in_4bit: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)  # what describe() adds

    @property
    def device(self) -> str:
        """The device type of the weights: `cpu`, `cuda`, or `meta` when they did not fit."""
        return str(self.model.device.type)

    @property
    def prompt_hash(self) -> str:
        """A hash of the prompt's pieces as token ids."""
        pieces = (self.prompt.before, self.prompt.between, self.prompt.after)
        return hashlib.sha256(repr(pieces).encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Return what a run should record of this model."""
        return {
            "name": self.name,
            "architecture": type(self.model).__name__,
            "parameters": self.model.num_parameters(),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "load_in_4bit": self.load_in_4bit,
            "max_positions": self.max_positions,
            "random_weights": self.random_weights,
            "fingerprint": self.fingerprint,
            "prompt_hash": self.prompt_hash,
            **self.details,
        }

    def reserve(
        self, positions: int, *, entries: int, new_tokens: int, batch: int, held_entries: int = 0
    ) -> None:
        """Refuse a request that cannot be run, before it allocates anything.

        Args:
            positions: the position after the last token.
            entries: KV entries of each row when the request is done.
            new_tokens: tokens of each row that are fed in its largest pass.
            batch: rows.
            held_entries: those of the entries, over all rows, that are in memory already.

        Raises:
            TooLong: more positions than the model has.
            DoesNotFit: more memory than is free; or the weights themselves did not fit.
        """
        if positions > self.max_positions:
            raise TooLong(
                f"the sequence needs {positions} positions, {self.name} has {self.max_positions}"
            )
        if self.model.device.type == "meta":
            raise DoesNotFit(str(self.details["does_not_fit"]))
        need_bytes = fit.request_bytes(
            self.model.config,
            self.model.dtype,
            new_entries=entries * batch - held_entries,
            new_tokens=new_tokens,
            past_entries=entries - new_tokens,
            batch=batch,
        )
        check_fits(need_bytes, self.model.device, what=f"a request of {batch} x {entries} tokens")

    def ids(self, ids: list[list[int]]) -> torch.Tensor:
        """Return rows of token ids as a tensor on the model's device."""
        return torch.tensor(ids, device=self.model.device)  # (batch, tokens)
