"""The passages of a context that are nearest to a question: what every rag backend searches.

A context is cut into chunks of whole sentences once, and searched for every question. Chunks that
touch are shown as one passage, so no text is shown twice.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from backends.retrieval.chunking import Span, merge_chunks, word_ends
from backends.retrieval.index import Index, Retriever
from backends.retrieval.retriever import (
    check_minimums,
    cut_passages,
    join_passages,
    open_retriever,
)
from harness.api import BUDGET, Model


@dataclass
class SearchOptions:
    """The options of backends that show passages, and the embedder.

    Args:
        chunk_tokens: the maximum of tokens in a chunk, by the embedder's own tokenizer; for bm25,
            words and punctuation marks.
        overlap: sentences that a chunk repeats from the chunk before it.
        top_k: chunks that are shown.
        tokens: show as many of the best chunks as fit into so many of the model's tokens, instead
            of `top_k`; the last one is cut between words.
        order: passages as they stand in the document, or the best first.
        embedder: `auto` (the packaged MiniLM if it is installed, else bm25), `minilm`, `bm25`
            (words, no model), or a sentence-transformers model by folder or hub id.
        persist_dir: a folder that keeps the vectors, so that a context is embedded once.
    """

    model: Model
    chunk_tokens: int = 40
    overlap: int = 0
    top_k: int = 8
    tokens: int | None = field(default=None, metadata=BUDGET)
    order: Literal["document", "score"] = "document"
    embedder: str = "auto"
    persist_dir: Path | None = None
    _retriever: Retriever = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Choose and load the embedder."""
        check_minimums(chunk_tokens=self.chunk_tokens, top_k=self.top_k, overlap=self.overlap)
        if self.tokens is not None and self.tokens < 1:
            raise ValueError(f"tokens={self.tokens} must be at least 1")
        self._retriever = open_retriever(self.embedder, self.model.device, self.persist_dir)
        limit = self._retriever.max_tokens
        if limit is not None and self.chunk_tokens > limit:
            self.close()
            raise ValueError(
                f"chunk_tokens={self.chunk_tokens} is more than embedder {self.embedder!r} reads: "
                f"{limit} tokens besides its special ones. Use chunk_tokens={limit} or less."
            )

    def search_in(self, context: str) -> "Passages":
        """Cut a context into chunks and make them searchable."""
        chunks, passages = cut_passages(
            context if context.strip() else "",
            self._retriever,
            chunk_tokens=self.chunk_tokens,
            overlap=self.overlap,
        )
        return Passages(
            context,
            chunks,
            self._retriever.index(passages) if passages else None,
            top_k=self.top_k,
            budget_tokens=self.tokens,
            by_rank=self.order == "score",
            encode=lambda text: self.model.tokenizer.encode(text),
        )

    def describe(self) -> Mapping[str, Any]:
        """Return which embedder was chosen, its hash, and a notice if it is not the best one."""
        return self._retriever.describe()

    def close(self) -> None:
        """Close the embedder and the database; the model was never changed."""
        self._retriever.close()


@dataclass
class Passages:
    """A context that can be searched."""

    context: str
    chunks: list[Span]
    index: Index | None  # None: there is nothing to search
    top_k: int
    budget_tokens: int | None  # instead of top_k
    by_rank: bool
    encode: Callable[[str], list[int]]  # by the tested model's tokenizer, for a budget

    @property
    def held_bytes(self) -> int:
        """Bytes of the vectors (or the weights of BM25), and of the context as UTF-8."""
        return (self.index.held_bytes if self.index else 0) + len(self.context.encode())

    def find(self, questions: Sequence[str]) -> list[list[str]]:
        """Return the passages of each question, each with the whitespace that follows it."""
        if self.index is None:
            return [[] for _ in questions]
        # A chunk has a token at least, so that no more of them than tokens can fit.
        max_chunks = min(len(self.chunks), self.budget_tokens or self.top_k)
        found = []
        for ranked in self.index.search(questions, max_chunks):
            chosen = [self.chunks[number] for number in ranked]
            if self.budget_tokens is not None:
                chosen = self._within(chosen, self.budget_tokens)
            found.append(self._texts(chosen))
        return found

    def close(self) -> None:
        """Drop the index."""
        if self.index:
            self.index.close()
        self.index = None

    def _texts(self, chosen: Sequence[Span]) -> list[str]:
        """Return the texts of chunks, the best first, each with the whitespace that follows it."""
        in_context = sorted(range(len(chosen)), key=lambda rank: chosen[rank].start)
        ranked = [in_context.index(rank) for rank in range(len(chosen))]
        spans = merge_chunks([chosen[r] for r in in_context], ranked, by_rank=self.by_rank)
        return [self.context[span.start : span.end] for span in spans]

    def _within(self, chosen: Sequence[Span], tokens: int) -> list[Span]:
        """Return the best of the chunks that fit together, the first that does not cut short."""

        def fits(spans: Sequence[Span]) -> bool:
            return len(self.encode(join_passages(self._texts(spans)))) <= tokens

        kept: list[Span] = []
        for span in chosen:
            if not fits([*kept, span]):
                # Fewer words are fewer tokens, so the longest part that fits is found by halving.
                parts = [Span(span.start, end) for end in word_ends(self.context, span)]
                fitting = bisect_left(parts, True, key=lambda part: not fits([*kept, part]))
                return [*kept, *parts[max(0, fitting - 1) : fitting]]
            kept.append(span)
        return kept
