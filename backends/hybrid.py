"""hybrid: gists of the whole context, and the passages nearest to the question as text.

    before | gists | top-k passages | between + question + after

The gists carry what the whole text is about, the passages the exact words of a detail. Passages are
read behind the gists, at positions that continue, and with the adapter loaded, as the question is;
the adapter has seen no passages in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from backends.kv.cached import CachedContext, Request, answer
from backends.kv.searching import SearchingGist
from backends.kv.segments import check_segment_tokens, compress_context
from backends.passages import Passages
from backends.retrieval.retriever import cut_passages, join_passages
from harness.api import Generation


@dataclass
class Hybrid(SearchingGist):
    """Gists of the context, and passages of it.

    Args:
        model: handed in by the harness.
        checkpoint: a folder made by train-gist; by default the one that belongs to the model.
        tokens: gist tokens for every context.
        ratio: context tokens per gist token, instead of `tokens`; 16 if neither is given.
        untrained: use an adapter that nobody has trained: its costs are right, its answers are not.
        chunk_tokens: as in rag.
        top_k: chunks that are shown.
        embedder: as in rag.
        window_tokens: as in gist.
    """

    tokens: int | None = None  # no budget: passages are kept besides
    window_tokens: int | None = None

    def __post_init__(self) -> None:
        """Check the options; load the adapter and the embedder."""
        check_segment_tokens("window_tokens", self.window_tokens)
        super().__post_init__()

    def prepare(self, context: str) -> "HybridContext":
        """Compress the context, and make its passages searchable."""
        gists = compress_context(
            self.model,
            self._adapter.plan,
            context,
            tokens=self.tokens,
            ratio=self.ratio,
            window_tokens=self.window_tokens,
        )
        chunks, passages = cut_passages(context, self._retriever, chunk_tokens=self.chunk_tokens)
        searched = Passages(
            context,
            chunks,
            self._retriever.index(passages),
            top_k=self.top_k,
            budget_tokens=None,
            by_rank=False,
            encode=self.model.tokenizer.encode,
        )
        return HybridContext(gists, searched)


@dataclass
class HybridContext:
    """A context as gists that can be searched too."""

    gists: CachedContext
    passages: Passages

    @property
    def held_bytes(self) -> int:
        """Bytes of the KV entries, of what search needs, and of the context as UTF-8."""
        return self.gists.held_bytes + self.passages.held_bytes

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer a batch of questions, each from the gists and its own passages."""
        lm, batch = self.gists.lm, []
        for question, found in zip(questions, self.passages.find(questions), strict=True):
            ids = lm.tokenizer.encode(join_passages(found))
            entries = self.gists.context_entries + len(ids)
            batch.append(Request(question, entries, ids, tuple(text.strip() for text in found)))
        return answer(
            lm,
            self.gists.state.opened(lm),
            batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
        )

    def close(self) -> None:
        """Drop the KV entries and the index."""
        self.gists.close()
        self.passages.close()
