"""A context held as KV entries: what full, gist, truncate, mean_pool and closed_book all prepare.

They differ in which KV entries are held and in whether the adapter is loaded while the question is
answered; asking is the same code for all of them, and for rag.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from harness.api import Generation

if TYPE_CHECKING:
    from gist.decode import KVState
    from gist.models.model import LanguageModel
    from gist.packing import PackedState

Bits = Literal[8, 4, 2]


@dataclass(frozen=True, slots=True)
class Request:
    """A question and what stands for its context."""

    question: str
    context_entries: int  # KV entries that stand for the context, `read` among them
    read: Sequence[int] = ()  # ids read together with the question, behind the state
    evidence: tuple[str, ...] = ()  # the parts of the context that were read, if not all


def answer(
    lm: "LanguageModel",
    state: "KVState",
    batch: Sequence[Request],
    *,
    max_new_tokens: int,
    min_new_tokens: int,
) -> list[Generation]:
    """Answer a batch of questions behind a state, which stays as it is.

    Raises:
        ContextTooLong: they need more positions than the model has.
        OutOfMemory: they need more memory than there is.
    """
    from gist.decode import ask

    prompt, encode = lm.prompt, lm.tokenizer.encode
    rows = [
        [*request.read, *prompt.between, *encode(request.question), *prompt.after]
        for request in batch
    ]
    answers = ask(lm, state, rows, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens)
    return [
        Generation(
            text=lm.tokenizer.decode(new).strip(),
            prompt_tokens=state.entries + len(row),
            context_entries=request.context_entries,
            new_tokens=len(new),
            evidence=request.evidence,
            cut=len(new) == max_new_tokens and new[-1] not in lm.end_ids,
        )
        for request, row, new in zip(batch, rows, answers, strict=True)
    ]


@dataclass
class CachedContext:
    """KV entries of a context that has been read once."""

    lm: "LanguageModel"
    state: "KVState | PackedState"
    context_entries: int  # of the state's entries, those that stand for the context
    evidence: tuple[str, ...] = ()  # the parts of the context that were read, if not all

    @property
    def held_bytes(self) -> int:
        """Bytes of all KV entries, the prompt's beginning included."""
        return self.state.held_bytes

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer the questions in one batch; the state stays as it is."""
        batch = [Request(text, self.context_entries, (), self.evidence) for text in questions]
        return answer(
            self.lm,
            self.state.opened(self.lm),
            batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
        )

    def close(self) -> None:
        """Drop the KV entries."""
        self.state.clear()

    def packed(self, bits: Bits | None) -> "CachedContext":
        """Return the context with its entries in so many bits, as it is if None; see gist.packing.

        What stands in front of the context stays exact, as it is in every backend.
        """
        from gist.packing import pack_state

        if bits is None or not self.context_entries:
            return self
        state = self.state.opened(self.lm)
        exact = state.entries - self.context_entries
        return replace(self, state=pack_state(state, bits, exact=exact))
