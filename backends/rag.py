"""Retrieval: show the model the passages that are nearest to the question, not the context.

    before | top-k passages | between + question + after

The model is the base model; no adapter is on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.kv.cached import Request, answer
from backends.passages import Passages, SearchOptions
from backends.retrieval.retriever import join_passages
from harness.api import Generation

if TYPE_CHECKING:
    from gist.decode import KVState
    from gist.models.model import LanguageModel


@dataclass
class Rag(SearchOptions):
    """Passages of the context that are nearest to the question.

    The defaults show up to 320 of the embedder's tokens: small chunks, since a question is
    mostly answered by one or two sentences, and many of them.
    """

    model: "LanguageModel"

    def prepare(self, context: str) -> "RagContext":
        """Cut the context into chunks and make them searchable."""
        from gist.decode import read

        state = read(self.model, self.model.prompt.before)
        return RagContext(self.model, state, self.search_in(context))


@dataclass
class RagContext:
    """A context that can be searched."""

    lm: "LanguageModel"
    state: "KVState"  # of `before`
    passages: Passages

    @property
    def held_bytes(self) -> int:
        """Bytes of the entries of `before`, as in every other backend, and of the passages."""
        return self.state.held_bytes + self.passages.held_bytes

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer a batch of questions, each from its own passages.

        Raises:
            ContextTooLong: passages and question need more positions than the model has.
            OutOfMemory: they need more memory than there is.
        """
        batch = []
        for question, found in zip(questions, self.passages.find(questions), strict=True):
            ids = self.lm.tokenizer.encode(join_passages(found))
            evidence = tuple(passage.strip() for passage in found)
            batch.append(Request(question, len(ids), ids, evidence))
        return answer(
            self.lm,
            self.state,
            batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
        )

    def close(self) -> None:
        """Drop the index and the KV entries."""
        self.passages.close()
        self.state.clear()
