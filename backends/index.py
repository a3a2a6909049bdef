"""Search among passages: by vectors in ChromaDB, or by words through BM25.

ChromaDB is given our own vectors and never an embedding function: its default one downloads a
model at the first query by text. It keeps vectors only; the texts stay with whoever asked.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from backends.embedders import Embedder
from harness.errors import UserError

if TYPE_CHECKING:
    from bm25s import BM25
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

_WORD = r"(?u)\b\w+\b"  # the usual pattern drops words of one letter, and with them digits
_LOOKED_AT = 256  # neighbours fetched beyond those asked for, so that ties end in document order
_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")


class Index(Protocol):
    """Passages that can be searched."""

    held_bytes: int  # of what search needs, the texts left out

    def search(self, questions: Sequence[str], most: int) -> list[list[int]]:
        """Return the numbers of up to `most` passages per question, the best first."""
        ...

    def close(self) -> None:
        """Give back what the index keeps."""
        ...


class Retriever(Protocol):
    """Makes passages searchable."""

    max_tokens: int | None  # the longest passage it reads; None: any

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, as `max_tokens` counts them."""
        ...

    def index(self, passages: Sequence[str]) -> Index:
        """Make one or more passages searchable."""
        ...

    def describe(self) -> Mapping[str, str]:
        """Return what decides which passages are found."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class VectorRetriever:
    """Vectors of an embedder in ChromaDB, by cosine; in memory, or kept in a folder."""

    def __init__(self, embedder: Embedder, persist_dir: Path | None = None) -> None:
        self._embedder = embedder
        self._keep = persist_dir is not None
        self._client = open_client(persist_dir)
        self.max_tokens = embedder.max_tokens
        self.count_tokens = embedder.count_tokens

    def index(self, passages: Sequence[str]) -> Index:
        """Embed the passages, unless the folder already has the vectors of these very ones."""
        name = f"rag-{self._key(passages) if self._keep else uuid.uuid4().hex}"
        collection = self._find(name, len(passages)) or self._fill(name, passages)
        return VectorIndex(self._client, collection, self._embedder, keep=self._keep)

    def describe(self) -> Mapping[str, str]:
        """Return what decides which passages are found."""
        return {"embedder": self._embedder.name, "embedder_hash": self._embedder.fingerprint}

    def close(self) -> None:
        """Give back the embedder and the database."""
        self._embedder.close()
        self._client.close()

    def _key(self, passages: Sequence[str]) -> str:
        content = json.dumps([self._embedder.fingerprint, *passages])
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def _find(self, name: str, count: int) -> "Collection | None":
        from chromadb.errors import NotFoundError

        try:
            found = self._client.get_collection(name, embedding_function=None)
        except NotFoundError:
            return None
        if found.count() == count:
            return found
        self._client.delete_collection(name)  # a run was stopped while it was being filled
        return None

    def _fill(self, name: str, passages: Sequence[str]) -> "Collection":
        vectors = self._embedder.embed_passages(passages)  # (passages, dimension)
        collection = self._client.create_collection(
            name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        step = self._client.get_max_batch_size()
        for start in range(0, len(passages), step):
            part = vectors[start : start + step]
            ids = [str(start + offset) for offset in range(len(part))]
            collection.add(ids=ids, embeddings=part)
        return collection


class VectorIndex:
    """A ChromaDB collection with one vector per passage.

    `held_bytes` are the vectors as 32-bit floats; the links of ChromaDB's graph and its journal
    are not counted.
    """

    def __init__(
        self, client: "Client", collection: "Collection", embedder: Embedder, *, keep: bool
    ) -> None:
        self._client = client
        self._collection = collection
        self._embedder = embedder
        self._keep = keep
        self._count = collection.count()
        first = collection.get(ids=["0"], include=["embeddings"])["embeddings"]
        assert first is not None, "ChromaDB returns the vectors it is asked for"
        self.held_bytes = self._count * len(first[0]) * 4

    def search(self, questions: Sequence[str], most: int) -> list[list[int]]:
        """Return the nearest passages of each question; ties in document order."""
        vectors = self._embedder.embed_questions(questions)  # (questions, dimension)
        fetched = min(most + _LOOKED_AT, self._count)
        found = self._collection.query(
            query_embeddings=vectors, n_results=fetched, include=["distances"]
        )
        assert found["distances"] is not None, "ChromaDB returns the distances it is asked for"
        rows = zip(found["ids"], found["distances"], strict=True)
        return [
            [number for _, number in sorted(zip(distances, map(int, ids), strict=True))][:most]
            for ids, distances in rows
        ]

    def close(self) -> None:
        """Delete the collection, unless it is kept in a folder."""
        if not self._keep:
            self._client.delete_collection(self._collection.name)


class LexicalRetriever:
    """BM25 over lower-case words: no model, no vectors, no limit of tokens."""

    max_tokens: int | None = None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the words and punctuation marks of each text."""
        return [len(_WORD_OR_MARK.findall(text)) for text in texts]

    def index(self, passages: Sequence[str]) -> Index:
        """Count the words of the passages."""
        return LexicalIndex(passages)

    def describe(self) -> Mapping[str, str]:
        """Return what decides which passages are found."""
        import bm25s

        return {"embedder": "bm25", "embedder_hash": f"bm25s {bm25s.__version__}"}

    def close(self) -> None:
        """Nothing is held."""


class LexicalIndex:
    """BM25 weights of every word in every passage.

    `held_bytes` are the arrays of the sparse matrix and the vocabulary as UTF-8.
    """

    def __init__(self, passages: Sequence[str]) -> None:
        import bm25s

        self._count = len(passages)
        self._bm25: BM25 | None = None
        self.held_bytes = 0
        words = _words(passages)
        if any(words):  # bm25s divides by the mean number of words
            self._bm25 = bm25s.BM25()
            self._bm25.index(words, show_progress=False)
            arrays = [self._bm25.scores[part] for part in ("data", "indices", "indptr")]
            vocabulary = "".join(self._bm25.vocab_dict)
            self.held_bytes = sum(part.nbytes for part in arrays) + len(vocabulary.encode())

    def search(self, questions: Sequence[str], most: int) -> list[list[int]]:
        """Return the numbers of the best passages of each question; ties in document order."""
        return [self._rank(words)[:most] for words in _words(questions)]

    def close(self) -> None:
        """Give back the matrix."""
        self._bm25 = None

    def _rank(self, words: list[str]) -> list[int]:
        if self._bm25 is None or not words:
            return list(range(self._count))
        return [int(number) for number in (-self._bm25.get_scores(words)).argsort(kind="stable")]


def _words(texts: Sequence[str]) -> list[list[str]]:
    import bm25s

    found: list[list[str]] = bm25s.tokenize(
        list(texts), token_pattern=_WORD, stopwords=None, return_ids=False, show_progress=False
    )
    return found


def open_client(persist_dir: Path | None) -> "Client":
    """Open ChromaDB in memory, or in a folder.

    Raises:
        UserError: it is not installed, or the folder cannot be used.
    """
    try:
        import chromadb
        from chromadb.api.client import Client
        from chromadb.errors import ChromaError
    except ImportError as missing:
        raise UserError(
            f"rag needs ChromaDB, which cannot be imported ({missing}). "
            "Install it: pip install chromadb; or use embedder=bm25."
        ) from missing
    try:
        if persist_dir is None:
            client = chromadb.EphemeralClient()
        else:
            persist_dir.mkdir(parents=True, exist_ok=True)
            client = chromadb.PersistentClient(path=persist_dir)
    except (OSError, ChromaError) as refused:
        raise UserError(
            f"persist_dir={persist_dir} cannot be used ({refused}). Give a folder that can be "
            "written and that ChromaDB made, or a new one."
        ) from refused
    assert isinstance(client, Client), "a client in this process, which can be closed"
    return client
