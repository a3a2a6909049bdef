"""Retrieval: show the model the passages that are nearest to the question, not the context.

    before | top-k passages | between + question + after

A context is cut into chunks of whole sentences once, and searched for every question. Chunks
that touch are shown as one passage, so no text is shown twice. The model is the base model; no
adapter is on.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backends.cached import Asked, answer, translated
from backends.chunking import Span, chunk_context, merge_chunks
from backends.embedders import (
    MINILM_PACKAGE,
    Embedder,
    SentenceEmbedder,
    find_embedder,
    minilm_folder,
)
from backends.index import Index, LexicalRetriever, Retriever, VectorRetriever
from harness.api import BUDGET, Generation
from harness.errors import UserError

if TYPE_CHECKING:
    from gist.decode import KVState
    from gist.model import LanguageModel

SMALLEST_CHUNK = 8  # tokens: room for a character, which may be four of them


@dataclass
class Rag:
    """Passages of the context that are nearest to the question.

    The defaults show up to 320 of the embedder's tokens: small chunks, since a question is
    mostly answered by one or two sentences, and many of them.

    Args:
        model: handed in by the harness.
        chunk_tokens: the most tokens of a chunk, by the embedder's own tokenizer; for bm25,
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

    model: "LanguageModel"
    chunk_tokens: int = 40
    overlap: int = 0
    top_k: int = 8
    tokens: int | None = field(default=None, metadata=BUDGET)
    order: Literal["document", "score"] = "document"
    embedder: str = "auto"
    persist_dir: Path | None = None
    _retriever: Retriever = field(init=False, repr=False)
    _notice: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        """Choose and load the embedder."""
        for name, least in (("chunk_tokens", SMALLEST_CHUNK), ("overlap", 0), ("top_k", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, it is {getattr(self, name)}.")
        if self.tokens is not None and self.tokens < 1:
            raise ValueError(f"tokens={self.tokens} must be at least 1")
        self._retriever, self._notice = open_retriever(
            self.embedder, self.persist_dir, "cuda" if self.model.device == "cuda" else "cpu"
        )
        limit = self._retriever.max_tokens
        if limit is not None and self.chunk_tokens > limit:
            self.close()
            raise ValueError(
                f"chunk_tokens={self.chunk_tokens} is more than embedder {self.embedder!r} reads: "
                f"{limit} tokens besides its special ones. Use chunk_tokens={limit} or less."
            )

    def prepare(self, context: str) -> "RagContext":
        """Cut the context into chunks and make them searchable."""
        from gist.decode import read

        chunks: list[Span] = []
        if context.strip():
            chunks = chunk_context(
                context,
                chunk_tokens=self.chunk_tokens,
                overlap=self.overlap,
                count_tokens=self._retriever.count_tokens,
            )
        with translated():
            state = read(self.model, self.model.prompt.before)
        passages = [context[chunk.start : chunk.end].strip() for chunk in chunks]
        index = self._retriever.index(passages) if passages else None
        return RagContext(
            self.model,
            state,
            context,
            chunks,
            index,
            top_k=self.top_k,
            budget_tokens=self.tokens,
            by_rank=self.order == "score",
        )

    def describe(self) -> Mapping[str, Any]:
        """Return which embedder was chosen, its hash, and why if it is not the best one."""
        notice = {"notice": self._notice} if self._notice else {}
        return {**self._retriever.describe(), **notice}

    def close(self) -> None:
        """Give back the embedder and the database; the model was never changed."""
        self._retriever.close()


@dataclass
class RagContext:
    """A context that can be searched.

    `held_bytes` counts the entries of `before`, as in every other arm, the vectors (or the
    weights of BM25), and the context as UTF-8.
    """

    lm: "LanguageModel"
    state: "KVState"  # of `before`
    context: str
    chunks: list[Span]
    index: Index | None  # None: there is nothing to search
    top_k: int
    budget_tokens: int | None  # instead of top_k
    by_rank: bool
    held_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        """Count what is kept."""
        indexed = self.index.held_bytes if self.index else 0
        self.held_bytes = self.state.held_bytes + indexed + len(self.context.encode())

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer a batch of questions, each from its own passages.

        Raises:
            ContextTooLong: passages and question need more positions than the model has.
            OutOfMemory: they need more memory than there is.
        """
        batch = []
        for question, passages in zip(questions, self._retrieve(questions), strict=True):
            ids = self.lm.tokenizer.encode(joined(passages))
            evidence = tuple(passage.strip() for passage in passages)
            batch.append(Asked(question, len(ids), ids, evidence))
        return answer(
            self.lm,
            self.state,
            batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
        )

    def close(self) -> None:
        """Give back the index and the entries."""
        if self.index:
            self.index.close()
        self.index = None
        self.state.cache.layers.clear()

    def _retrieve(self, questions: Sequence[str]) -> list[list[str]]:
        """Return the passages of each question, each with the whitespace that follows it."""
        if self.index is None:
            return [[] for _ in questions]
        # A chunk has a token at least, so that no more of them than tokens can fit.
        most = min(len(self.chunks), self.budget_tokens or self.top_k)
        found = []
        for ranked in self.index.search(questions, most):
            chosen = [self.chunks[number] for number in ranked]
            if self.budget_tokens is not None:
                chosen = self._within(chosen, self.budget_tokens)
            found.append(self._passages(chosen))
        return found

    def _passages(self, chosen: Sequence[Span]) -> list[str]:
        """Return the texts of chunks, the best first, each with the whitespace that follows it."""
        in_context = sorted(range(len(chosen)), key=lambda rank: chosen[rank].start)
        ranked = [in_context.index(rank) for rank in range(len(chosen))]
        spans = merge_chunks([chosen[r] for r in in_context], ranked, by_rank=self.by_rank)
        return [self.context[span.start : span.end] for span in spans]

    def _within(self, chosen: Sequence[Span], tokens: int) -> list[Span]:
        """Return the best of the chunks that fit together, the first that does not cut short."""

        def fits(spans: Sequence[Span]) -> bool:
            return len(self.lm.tokenizer.encode(joined(self._passages(spans)))) <= tokens

        kept: list[Span] = []
        for span in chosen:
            if not fits([*kept, span]):
                # Fewer words are fewer tokens, so the longest part that fits is found by halving.
                parts = [Span(span.start, end) for end in _word_ends(self.context, span)]
                fitting = bisect_left(parts, True, key=lambda part: not fits([*kept, part]))
                return [*kept, *parts[max(0, fitting - 1) : fitting]]
            kept.append(span)
        return kept


def _word_ends(text: str, span: Span) -> list[int]:
    """Return where the words of `text[start:end]` end."""
    words = re.compile(r"\S+").finditer(text, span.start, span.end)
    return [word.end() for word in words]


def joined(passages: Sequence[str]) -> str:
    """Set passages apart as the context itself sets its sentences or paragraphs apart.

    A mark for what was left out would be new to a model that has read whole texts only.
    """
    spaced = (text if text[-1:].isspace() else f"{text} " for text in passages)
    return "".join(spaced).strip()


def open_embedder(embedder: str, device: str) -> tuple[Embedder | None, str]:
    """Return what `embedder` names, None for bm25, and what there is to say about the choice.

    Raises:
        UserError: there is no such embedder here.
    """
    folder = minilm_folder() if embedder in ("auto", "minilm") else None
    notice = ""
    if embedder in ("auto", "minilm") and folder is None:
        install = f"pip install {MINILM_PACKAGE}==0.1.0"
        if embedder == "minilm":
            raise UserError(
                f"embedder=minilm needs {MINILM_PACKAGE}, which is not installed. "
                f"Install it: {install}; or use embedder=bm25."
            )
        embedder = "bm25"
        notice = f"searching by words (bm25): no embedder is installed. Install one: {install}"
    if embedder == "bm25":
        return None, notice
    name = embedder if folder is None else "minilm"
    return SentenceEmbedder(name, folder or find_embedder(embedder), device=device), notice


def open_retriever(embedder: str, persist_dir: Path | None, device: str) -> tuple[Retriever, str]:
    """Return what searches by `embedder`, and what there is to say about the choice."""
    found, notice = open_embedder(embedder, device)
    if found is not None:
        return VectorRetriever(found, persist_dir), notice
    if persist_dir is not None:
        raise ValueError("persist_dir keeps vectors, and embedder=bm25 has none. Leave it out.")
    return LexicalRetriever(), notice
