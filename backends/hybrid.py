"""hybrid: gists of the whole context, and the passages nearest to the question as text.

    before | gists | top-k passages | between + question + after

The gists carry what the whole text is about, the passages the letters of a detail. Passages are
read behind the gists, at positions that continue, and with the adapter on, as the question is; the
adapter has seen no passages in training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.cached import Asked, CachedContext, answer
from backends.chunking import Span, chunk_context, merge_chunks
from backends.gist import Gist
from backends.index import Index, Retriever
from backends.rag import SMALLEST_CHUNK, joined, open_retriever
from harness.api import Generation

if TYPE_CHECKING:
    from gist.model import LanguageModel


@dataclass
class Hybrid:
    """Gists of the context, and passages of it.

    Args:
        model: handed in by the harness.
        checkpoint: a folder made by train-gist; by default the one that belongs to the model.
        tokens: gist tokens for every context.
        ratio: context tokens per gist token, instead of `tokens`; 16 if neither is given.
        untrained: use an adapter that nobody has trained: its costs are right, its answers are not.
        window_tokens: as in gist.
        chunk_tokens: as in rag.
        top_k: chunks that are shown.
        embedder: as in rag.
    """

    model: "LanguageModel"
    checkpoint: Path | None = None
    tokens: int | None = None
    ratio: float | None = None
    untrained: bool = False
    window_tokens: int | None = None
    chunk_tokens: int = 40
    top_k: int = 3
    embedder: str = "auto"
    _gist: Gist = field(init=False, repr=False)
    _retriever: Retriever = field(init=False, repr=False)
    _notice: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on and load the embedder."""
        for name, least in (("chunk_tokens", SMALLEST_CHUNK), ("top_k", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, it is {getattr(self, name)}.")
        device = "cuda" if self.model.device == "cuda" else "cpu"
        self._retriever, self._notice = open_retriever(self.embedder, None, device)
        try:
            self._gist = Gist(
                self.model,
                checkpoint=self.checkpoint,
                tokens=self.tokens,
                ratio=self.ratio,
                untrained=self.untrained,
                window_tokens=self.window_tokens,
            )
        except BaseException:
            self._retriever.close()
            raise

    def prepare(self, context: str) -> "HybridContext":
        """Compress the context, and make its passages searchable."""
        gists = self._gist.prepare(context)
        chunks = chunk_context(
            context,
            chunk_tokens=self.chunk_tokens,
            overlap=0,
            count_tokens=self._retriever.count_tokens,
        )
        index = self._retriever.index([context[c.start : c.end].strip() for c in chunks])
        return HybridContext(gists, context, chunks, index, self.top_k)

    def describe(self) -> Mapping[str, Any]:
        """Return adapter and embedder."""
        notice = {"notice": self._notice} if self._notice else {}
        return {**self._gist.describe(), **self._retriever.describe(), **notice}

    def close(self) -> None:
        """Take the adapter off; give back the embedder."""
        self._gist.close()
        self._retriever.close()


@dataclass
class HybridContext:
    """A context as gists that can be searched too."""

    gists: CachedContext
    context: str
    chunks: list[Span]
    index: Index
    top_k: int

    @property
    def held_bytes(self) -> int:
        """Bytes of the entries, of what search needs, and of the context as UTF-8."""
        return self.gists.held_bytes + self.index.held_bytes + len(self.context.encode())

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer a batch of questions, each from the gists and its own passages."""
        batch = []
        for question, ranked in zip(
            questions, self.index.search(questions, self.top_k), strict=True
        ):
            spans = merge_chunks(self.chunks, ranked, by_rank=False)
            passages = [self.context[span.start : span.end] for span in spans]
            ids = self.gists.lm.tokenizer.encode(joined(passages))
            entries = self.gists.context_entries + len(ids)
            batch.append(Asked(question, entries, ids, tuple(text.strip() for text in passages)))
        return answer(
            self.gists.lm,
            self.gists.state,
            batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
        )

    def close(self) -> None:
        """Drop the entries and the index."""
        self.gists.close()
        self.index.close()
