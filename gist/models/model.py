"""A causal language model with all that asking it needs: tokenizer, prompt pieces, limits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel

from gist.models import fit
from gist.models.memory import check_fits
from gist.models.prompt import PromptIds, TextTokenizer, end_of_turn
from harness.errors import ContextTooLong, OutOfMemory

WORTH_CHECKING_BYTES = 2**28  # asking the system what is free takes longer than a small pass


@dataclass
class LanguageModel:
    """A loaded model. Built by `gist.models.loading.load_model`."""

    name: str
    model: PreTrainedModel
    tokenizer: TextTokenizer
    prompt: PromptIds
    end_ids: frozenset[int]  # every id that ends an answer
    max_positions: int
    fingerprint: str
    random_weights: bool = False
    load_in_4bit: bool = False
    does_not_fit: str = ""  # why the weights are on the meta device, if they are
    details: Mapping[str, Any] = field(default_factory=dict)  # what describe() adds

    @property
    def device(self) -> str:
        """The device type of the weights: `cpu`, `cuda`, or `meta` when they did not fit."""
        return str(self.model.device.type)

    @property
    def answer_end_id(self) -> int:
        """The id that ends an answer in training: the chat template's, where it writes one."""
        tokenizer = self.tokenizer.inner
        ends = (end_of_turn(tokenizer), tokenizer.eos_token_id, min(self.end_ids))
        return next(end for end in ends if end is not None)

    @property
    def prompt_hash(self) -> str:
        """A hash of the prompt's pieces as token ids."""
        pieces = (self.prompt.before, self.prompt.between, self.prompt.after)
        return hashlib.sha256(repr(pieces).encode()).hexdigest()[:16]

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has."""
        return len(self.tokenizer.encode(text))

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
            "weights_fit": not self.does_not_fit,
            "fingerprint": self.fingerprint,
            "prompt_hash": self.prompt_hash,
            "shots": self.prompt.shots,
            **self.details,
        }

    def reserve(
        self, positions: int, *, entries: int, new_tokens: int, batch: int, held_entries: int = 0
    ) -> None:
        """Check before anything is allocated that a forward pass has room.

        Args:
            positions: position after the last token.
            entries: KV entries of one row when all is done.
            new_tokens: tokens of one row in the largest forward pass.
            batch: rows.
            held_entries: entries that are in memory already and will be used where they are.

        Raises:
            ContextTooLong: more positions than the model has.
            OutOfMemory: more memory than is free; or the weights themselves did not fit.
        """
        if positions > self.max_positions:
            raise ContextTooLong(
                f"the sequence needs {positions} positions, {self.name} has {self.max_positions}"
            )
        if self.device == "meta":
            raise OutOfMemory(self.does_not_fit)
        need_bytes = fit.request_bytes(
            self.model.config,
            self.model.dtype,
            new_entries=batch * entries - held_entries,
            new_tokens=new_tokens,
            past_entries=entries - new_tokens,
            batch=batch,
            on_cpu=self.device == "cpu",
        )
        if need_bytes > WORTH_CHECKING_BYTES:
            check_fits(need_bytes, self.model.device, what=f"{batch} rows of {entries} tokens")

    def ids(self, ids: list[list[int]]) -> torch.Tensor:
        """Return rows of token ids as a tensor on the model's device."""
        return torch.tensor(ids, device=self.model.device)  # (batch, tokens)
