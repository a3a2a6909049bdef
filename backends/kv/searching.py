"""What gist backends that search the context too have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backends.kv.adapter import GistOptions
from backends.retrieval.index import Retriever
from backends.retrieval.retriever import check_minimums, open_retriever


@dataclass
class SearchingGist(GistOptions):
    """Options of gists and of retrieval, the adapter and the retriever.

    Args:
        chunk_tokens: as in rag.
        embedder: as in rag.
    """

    chunk_tokens: int = 40
    top_k: int = 3
    embedder: str = "auto"
    _retriever: Retriever = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the options; load the adapter and the embedder."""
        check_minimums(chunk_tokens=self.chunk_tokens, top_k=self.top_k)
        super().__post_init__()
        try:
            self._retriever = open_retriever(self.embedder, self.model.device)
        except BaseException:
            super().close()
            raise

    def describe(self) -> Mapping[str, Any]:
        """Return adapter and embedder."""
        return {**super().describe(), **self._retriever.describe()}

    def close(self) -> None:
        """Unload the adapter and close the embedder."""
        super().close()
        self._retriever.close()
