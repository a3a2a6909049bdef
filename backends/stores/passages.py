"""The passages of many documents, kept in a folder, and which documents are nearest to a question.

    FOLDER/<id>.json    a document's name, the hash of its file, and its passages
    FOLDER/chroma       one vector per passage; none where documents are searched by words

The files are the truth. A document counts as indexed when every passage of its file's hash has
its vector, so that a process that was stopped at any point has only its last document to do again.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.retrieval.chroma import Database, Vectors
from backends.retrieval.index import Index, LexicalRetriever
from backends.retrieval.retriever import cut_passages, open_embedder
from harness.errors import UserError, reading
from harness.files import write_atomically

if TYPE_CHECKING:
    from backends.retrieval.embedders import Embedder

log = logging.getLogger(__name__)

CHUNK_TOKENS = 40  # as in rag
TOP_K = 8
OURS = re.compile("[0-9a-f]{32}")  # names of a document's files, see `document_id`
REMOVE = "It is damaged: remove it and give gist-bench compress again."
_COLLECTION = "passages"


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A passage that is near to a question."""

    document: str
    passage: str


@dataclass
class Passages:
    """An index of passages that documents can be put into and taken out of.

    Args:
        folder: where it is kept.
        embedder: as in rag: `auto`, `minilm`, `bm25`, or a sentence-transformers model.
        device: of the embedder.
    """

    folder: Path
    embedder: str = "auto"
    device: str = "cpu"
    _embedder: "Embedder | None" = field(init=False, repr=False)  # None: by words
    _database: Database | None = field(default=None, init=False, repr=False)
    _words: "tuple[Index, list[SearchHit]] | None" = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Load the embedder and open the database."""
        self._embedder, notice = open_embedder(self.embedder, self.device)
        if notice:
            log.warning(notice)
        if self._embedder is not None:
            with reading(self._chroma, advice=REMOVE):
                self._database = Database(self._chroma)

    def describe(self) -> Mapping[str, str]:
        """Return what decides which passages are found."""
        if self._embedder is None:
            return LexicalRetriever().describe()
        name = self._embedder.name
        return {"embedder": name, "embedder_hash": self._embedder.fingerprint}

    def indexed(self) -> dict[str, str]:
        """Return the documents that are wholly indexed, each with its file's hash."""
        files = {}
        for path in self._files():
            with suppress(UserError):  # damaged: it is indexed again
                files[path.stem] = _read(path)
        if self._database is None:
            return {name: str(kept["sha256"]) for name, kept in files.items()}
        with reading(self._chroma, advice=REMOVE):
            marks = self._vectors().metadata()
            vectors = Counter((mark["document"], mark["sha256"]) for mark in marks)
        return {
            name: str(kept["sha256"])
            for name, kept in files.items()
            if vectors[name, kept["sha256"]] == len(kept["passages"])
        }

    def put(self, document: str, *, name: str, sha256: str, text: str) -> None:
        """Index a document in the place of what was indexed for it before."""
        reader = self._embedder or LexicalRetriever()
        chunk_tokens = min(CHUNK_TOKENS, reader.max_tokens or CHUNK_TOKENS)
        _, passages = cut_passages(text, reader, chunk_tokens=chunk_tokens)
        written = {"name": name, "sha256": sha256, "passages": passages}
        path = self.folder / f"{document}.json"
        write_atomically(path, json.dumps(written).encode())
        self._words = None
        if self._embedder is not None:
            self._put_vectors(document, sha256, passages, self._embedder)

    def drop(self, document: str) -> None:
        """Take a document out."""
        if self._database is not None:
            with reading(self._chroma, advice=REMOVE):
                self._vectors().remove({"document": document})
        (self.folder / f"{document}.json").unlink(missing_ok=True)
        self._words = None

    def clear(self) -> None:
        """Take all documents out, whatever embedder they were indexed with."""
        if self._chroma.exists():
            with reading(self._chroma, advice=REMOVE):
                (self._database or Database(self._chroma)).clear()
        for path in self._files():
            path.unlink()
        self._words = None

    def search(self, question: str, max_results: int = TOP_K) -> list[SearchHit]:
        """Return the passages nearest to a question, the best first."""
        if self._embedder is None:
            index, passages = self._by_words()
            return [passages[number] for number in index.search([question], max_results)[0]]
        vectors = self._embedder.embed_questions([question])  # (1, dimension)
        with reading(self._chroma, advice=REMOVE):
            (found,) = self._vectors().nearest(vectors, max_results)
        texts: dict[str, list[str]] = {}
        nearest = []
        for _, label in found:
            document, _, number = label.partition("/")
            if document not in texts:
                texts[document] = _read(self.folder / f"{document}.json")["passages"]
            with reading(self._chroma, advice=REMOVE):
                nearest.append(SearchHit(document, texts[document][int(number)]))
        return nearest

    def close(self) -> None:
        """Close the embedder and the database."""
        if self._embedder is not None:
            self._embedder.close()
        if self._database is not None:
            self._database.close()

    def _put_vectors(
        self, document: str, sha256: str, passages: Sequence[str], embedder: "Embedder"
    ) -> None:
        embedded = embedder.embed_passages(passages)  # (passages, dimension)
        labels = [f"{document}/{number}" for number in range(len(passages))]
        with reading(self._chroma, advice=REMOVE):
            vectors = self._vectors()
            vectors.remove({"document": document})
            vectors.add(labels, embedded, {"document": document, "sha256": sha256})

    @property
    def _chroma(self) -> Path:
        return self.folder / "chroma"

    def _files(self) -> list[Path]:
        """Return the documents' files, in order; other files in the folder are not ours."""
        return sorted(path for path in self.folder.glob("*.json") if OURS.fullmatch(path.stem))

    def _vectors(self) -> Vectors:
        assert self._database is not None, "documents searched by words have no vectors"
        return self._database.open(_COLLECTION)

    def _by_words(self) -> tuple[Index, list[SearchHit]]:
        """Return BM25 over all passages, made once: weights depend on all of them."""
        if self._words is None:
            kept = [
                SearchHit(path.stem, passage)
                for path in self._files()
                for passage in _read(path)["passages"]
            ]
            if not kept:
                raise UserError(
                    f"{self.folder} holds no passages. Make it with gist-bench compress."
                )
            self._words = LexicalRetriever().index([found.passage for found in kept]), kept
        return self._words


def _read(path: Path) -> dict[str, Any]:
    """Read a document's passages.

    Raises:
        UserError: the file is missing or damaged.
    """
    with reading(path, advice="It is damaged: give gist-bench compress again."):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        texts = [found["name"], found["sha256"], *found["passages"]]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("it holds something else than texts")
    return found
