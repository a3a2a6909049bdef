"""finetune: train LoRA on the document, then ask without it, as closed_book does.

The document is in the weights: nothing of it stands in front of the question. Each document has an
adapter of its own (Hu et al. 2021, arXiv 2106.09685), which is put onto the model for a request.
It learns from the document's text, and from questions that the harness makes of its sentences; see
`gist.finetune`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from backends.kv.cached import CachedContext
from harness.api import Generation, Question

if TYPE_CHECKING:
    from gist.finetune import Tensors
    from gist.models.model import LanguageModel


@dataclass
class Finetune:
    """A LoRA adapter for each context.

    Args:
        steps: of the optimiser for every context: what caps the time.
        rank: of LoRA on all linear layers: what decides the bytes.
        lr: learning rate of AdamW.
    """

    runs_unasked: ClassVar[bool] = False
    wants_questions: ClassVar[bool] = True

    model: "LanguageModel"
    steps: int = 30
    rank: int = 8
    lr: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse options that train nothing."""
        for name in ("steps", "rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if self.lr <= 0:
            raise ValueError(f"lr={self.lr:g} must be above 0")

    def prepare(self, context: str, questions: Sequence[Question] = ()) -> "FinetunedContext":
        """Train on context and questions, and read the prompt's beginning with what was learnt."""
        from gist.decode import read
        from gist.finetune import finetune, finetuned

        pairs = [(question.text, question.targets[0]) for question in questions]
        tensors = finetune(self.model, context, pairs, steps=self.steps, rank=self.rank, lr=self.lr)
        with finetuned(self.model, tensors, rank=self.rank):
            state = read(self.model, self.model.prompt.before)
        return FinetunedContext(CachedContext(self.model, state, 0), tensors, self.rank)

    def describe(self) -> Mapping[str, Any]:
        """Say that the base model's weights do not answer alone."""
        return {"weights": "LoRA, trained on each context"}

    def close(self) -> None:
        """Do nothing: the model was left as it was."""


@dataclass
class FinetunedContext:
    """A context as an adapter."""

    before: CachedContext  # the prompt's beginning alone
    tensors: "Tensors"
    rank: int

    @property
    def held_bytes(self) -> int:
        """Bytes of the adapter, and of the entries of `before`."""
        adapter = sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())
        return adapter + self.before.held_bytes

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer the questions in one batch, with the adapter on the model."""
        from gist.finetune import finetuned

        with finetuned(self.before.lm, self.tensors, rank=self.rank):
            return self.before.generate(
                questions, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens
            )

    def close(self) -> None:
        """Drop the adapter and the entries."""
        self.tensors = {}
        self.before.close()
