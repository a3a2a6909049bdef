"""Retrieval: show the model the passages that are nearest to the question, not the context.

    before | top-k passages | between + question + after

The model is the base model; no adapter is on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.kv.cached import CachedContext, Request, answer
from backends.passages import Passages, SearchOptions
from backends.retrieval.retriever import join_passages
from harness.api import Generation

if TYPE_CHECKING:
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
        return RagContext(CachedContext(self.model, state, 0), self.search_in(context))


@dataclass
class RagContext:
    """KV entries that stand in front of every question, and a context that can be searched."""

    front: CachedContext  # of `before`, and of gists in hybrid
    passages: Passages

    @property
    def held_bytes(self) -> int:
        """Bytes of the KV entries, `before` among them as everywhere, and of the passages."""
        return self.front.held_bytes + self.passages.held_bytes

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer a batch of questions, each from its own passages.

        Raises:
            ContextTooLong: passages and question need more positions than the model has.
            OutOfMemory: they need more memory than there is.
        """
        lm, batch = self.front.lm, []
        for question, found in zip(questions, self.passages.find(questions), strict=True):
            ids = lm.tokenizer.encode(join_passages(found))
            evidence = tuple(passage.strip() for passage in found)
            entries = self.front.context_entries + len(ids)
            batch.append(Request(question, entries, ids, evidence))
        return answer(
            lm,
            self.front.state.opened(lm),
            batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
        )

    def close(self) -> None:
        """Drop the index and the KV entries."""
        self.passages.close()
        self.front.close()
