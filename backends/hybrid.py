"""hybrid: gists of the whole context, and the passages nearest to the question as text.

    before | gists | top-k passages | between + question + after

The gists carry what the whole text is about, the passages the exact words of a detail. Passages are
read behind the gists, at positions that continue, and with the adapter loaded, as the question is;
the adapter has seen no passages in training.
"""

from dataclasses import dataclass

from backends.kv.searching import SearchingGist
from backends.kv.segments import check_segment_tokens
from backends.passages import Passages
from backends.rag import RagContext
from backends.retrieval.retriever import cut_passages


@dataclass
class Hybrid(SearchingGist):
    """Gists of the context, and passages of it.

    Args:
        top_k: chunks that are shown.
        window_tokens: as in gist.
    """

    tokens: int | None = None  # no budget: passages are kept besides
    window_tokens: int | None = None

    def __post_init__(self) -> None:
        """Check the options; load the adapter and the embedder."""
        check_segment_tokens("window_tokens", self.window_tokens)
        super().__post_init__()

    def prepare(self, context: str) -> RagContext:
        """Compress the context, and make its passages searchable."""
        gists = self.compress(context, self.window_tokens)
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
        return RagContext(gists, searched)
