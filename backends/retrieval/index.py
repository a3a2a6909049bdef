"""Search among passages: by vectors, or by words through BM25."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from backends.retrieval.chroma import Database, Vectors
from backends.retrieval.embedders import Embedder
from harness.text import WORDS_AND_MARKS, words

if TYPE_CHECKING:
    from bm25s import BM25

_EXTRA_NEIGHBOURS = 256  # fetched beyond those asked for, so that ties end in document order


class Index(Protocol):
    """Passages that can be searched."""

    held_bytes: int  # of what search needs, the texts left out

    def search(self, questions: Sequence[str], max_results: int) -> list[list[int]]:
        """Return the numbers of up to `max_results` passages per question, the best first."""

    def close(self) -> None:
        """Release what the index keeps."""


class Retriever(Protocol):
    """Makes passages searchable."""

    max_tokens: int | None  # the longest passage it reads; None: any

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, as `max_tokens` counts them."""

    def index(self, passages: Sequence[str]) -> Index:
        """Make one or more passages searchable."""

    def describe(self) -> Mapping[str, str]:
        """Return what decides which passages are found, and a notice if there is one."""

    def close(self) -> None:
        """Release what it holds."""


class VectorRetriever:
    """Vectors of an embedder in ChromaDB; in memory, or kept in a folder."""

    def __init__(self, embedder: Embedder, persist_dir: Path | None = None) -> None:
        self._embedder = embedder
        self._keep = persist_dir is not None
        self._database = Database(persist_dir)
        self.max_tokens = embedder.max_tokens
        self.count_tokens = embedder.count_tokens

    def index(self, passages: Sequence[str]) -> Index:
        """Embed the passages, unless the folder already has the vectors of these very ones."""
        name = f"rag-{self._key(passages) if self._keep else uuid.uuid4().hex}"
        vectors = self._database.open(name)
        if 0 < len(vectors) != len(passages):  # a run was stopped while it was being filled
            vectors.delete()
            vectors = self._database.open(name)
        if not len(vectors):
            embedded = self._embedder.embed_passages(passages)  # (passages, dimension)
            vectors.add([str(number) for number in range(len(passages))], embedded)
        return VectorIndex(vectors, self._embedder, keep=self._keep)

    def describe(self) -> Mapping[str, str]:
        """Return what decides which passages are found."""
        languages = {"languages": self._embedder.languages} if self._embedder.languages else {}
        return {
            "embedder": self._embedder.name,
            "embedder_hash": self._embedder.fingerprint,
            **languages,
        }

    def close(self) -> None:
        """Close the embedder and the database."""
        self._embedder.close()
        self._database.close()

    def _key(self, passages: Sequence[str]) -> str:
        content = json.dumps([self._embedder.fingerprint, *passages])
        return hashlib.sha256(content.encode()).hexdigest()[:32]


class VectorIndex:
    """One vector per passage, labelled by the passage's number.

    `held_bytes` are the vectors as 32-bit floats; the links of ChromaDB's graph and its journal
    are not counted.
    """

    def __init__(self, vectors: Vectors, embedder: Embedder, *, keep: bool) -> None:
        self._vectors = vectors
        self._embedder = embedder
        self._keep = keep
        self._count = len(vectors)
        self.held_bytes = self._count * vectors.dimension() * 4

    def search(self, questions: Sequence[str], max_results: int) -> list[list[int]]:
        """Return the nearest passages of each question; ties in document order."""
        embedded = self._embedder.embed_questions(questions)  # (questions, dimension)
        fetched = min(max_results + _EXTRA_NEIGHBOURS, self._count)
        return [
            [number for _, number in sorted((distance, int(label)) for distance, label in found)][
                :max_results
            ]
            for found in self._vectors.nearest(embedded, fetched)
        ]

    def close(self) -> None:
        """Delete the collection, unless it is kept in a folder."""
        if not self._keep:
            self._vectors.delete()


class LexicalRetriever:
    """BM25 over lower-case words of every script: no model, no vectors, no limit of tokens."""

    max_tokens: int | None = None

    def __init__(self, notice: str = "") -> None:
        self._notice = notice  # why words are searched, where nobody asked for it

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the words and punctuation marks of each text."""
        return [len(WORDS_AND_MARKS.findall(text)) for text in texts]

    def index(self, passages: Sequence[str]) -> Index:
        """Count the words of the passages."""
        return LexicalIndex(passages)

    def describe(self) -> Mapping[str, str]:
        """Return what decides which passages are found."""
        import bm25s

        notice = {"notice": self._notice} if self._notice else {}
        return {"embedder": "bm25", "embedder_hash": f"bm25s {bm25s.__version__}", **notice}

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
        found = list(map(words, passages))
        if any(found):  # bm25s divides by the mean number of words
            self._bm25 = bm25s.BM25()
            self._bm25.index(found, show_progress=False)
            arrays = [self._bm25.scores[part] for part in ("data", "indices", "indptr")]
            vocabulary = "".join(self._bm25.vocab_dict)
            self.held_bytes = sum(part.nbytes for part in arrays) + len(vocabulary.encode())

    def search(self, questions: Sequence[str], max_results: int) -> list[list[int]]:
        """Return the numbers of the best passages of each question; ties in document order."""
        return [self._rank(words(question))[:max_results] for question in questions]

    def close(self) -> None:
        """Release the matrix."""
        self._bm25 = None

    def _rank(self, asked: list[str]) -> list[int]:
        if self._bm25 is None or not asked:
            return list(range(self._count))
        return [int(number) for number in (-self._bm25.get_scores(asked)).argsort(kind="stable")]
