"""The passages of many documents, kept in a folder, and which documents are nearest to a question.

    FOLDER/ab/<id>.json   a document's name, the hash of its file, and its passages; `ab` are the
                          first two letters of its id. Stores of earlier versions: FOLDER/<id>.json
    FOLDER/chroma         one vector per passage; none where documents are searched by words, or
                          where the vectors are in a collection of a server

The files are the truth. A document counts as indexed when every passage of its file's hash has
its vector, so that a process that was stopped at any point has only the documents in hand to do
again. Vectors in a folder that cannot be read are made anew from the passages.
"""

import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.retrieval.chroma import START, Database, Vectors
from backends.retrieval.index import Index, LexicalRetriever
from backends.retrieval.retriever import cut_passages, open_embedder
from harness.api import Source
from harness.errors import UserError, one_line, reading
from harness.files import write_atomically

if TYPE_CHECKING:
    from backends.retrieval.embedders import Embedder

log = logging.getLogger(__name__)

CHUNK_TOKENS = 40  # as in rag
TOP_K = 8
OURS = re.compile("[0-9a-f]{32}")  # names of a document's files, see `document_id`
# What SQLite says of a database that is whole, but asked by another process, or on a full disk.
NO_DAMAGE = ("locked", "readonly", "is full", "I/O error")
REPAIR = "It is damaged: give gist-bench compress again, which makes it anew."


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
        server: the address of a ChromaDB server that keeps the vectors; None: the folder does.
        collection: their name in it.
    """

    folder: Path
    embedder: str = "auto"
    device: str = "cpu"
    server: str | None = None
    collection: str = "passages"
    _embedder: "Embedder | None" = field(init=False, repr=False)  # None: by words
    _database: Database | None = field(default=None, init=False, repr=False)
    _words: "tuple[Index, list[SearchHit]] | None" = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Load the embedder, and reach the server if there is one."""
        self._embedder, notice = open_embedder(self.embedder, self.device)
        if notice:
            log.warning(notice)
        if self._embedder is not None and self.server:
            with self._reading():
                self._open()
        elif self.server:
            raise UserError(
                f"{self.server} keeps vectors, and {self.describe()['embedder']} has none. "
                "Give an embedder with vectors, or leave --chroma out."
            )

    def describe(self) -> Mapping[str, str]:
        """Return what decides which passages are found."""
        if self._embedder is None:
            return LexicalRetriever().describe()
        name = self._embedder.name
        return {"embedder": name, "embedder_hash": self._embedder.fingerprint}

    def where(self) -> Mapping[str, str]:
        """Return where the vectors are, if a server has them."""
        return {"chroma": self.server, "collection": self.collection} if self.server else {}

    def indexed(self) -> dict[str, str]:
        """Return the documents that are wholly indexed, each with its file's hash.

        Vectors that are lost, or cannot be read in their folder, are made anew first. What a
        server has is not ours to remove.
        """
        files: dict[str, tuple[str, int]] = {}  # hash of the file, passages
        for path in files_of(self.folder, ".json"):
            with suppress(UserError):  # damaged: it is indexed again
                kept = _read(path)
                files[path.stem] = kept["sha256"], len(kept["passages"])
        if self._embedder is not None:
            self._restore(files, self._embedder)
        return {name: sha256 for name, (sha256, _) in files.items()}

    def put(self, documents: Mapping[str, Source]) -> None:
        """Index documents, by their ids, in the place of what was indexed for them before."""
        reader = self._embedder or LexicalRetriever()
        chunk_tokens = min(CHUNK_TOKENS, reader.max_tokens or CHUNK_TOKENS)
        self._words = None
        passages: dict[str, list[str]] = {}
        for document, source in documents.items():
            _, found = cut_passages(source.text, reader, chunk_tokens=chunk_tokens)
            passages[document] = found
            written = {"name": source.name, "sha256": source.sha256, "passages": found}
            path = place(self.folder, document, ".json")
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, json.dumps(written).encode())
        if self._embedder is not None:
            hashes = {document: source.sha256 for document, source in documents.items()}
            self._put_vectors(hashes, passages, self._embedder)

    def drop(self, document: str) -> None:
        """Take a document out."""
        if self._embedder is not None:
            with self._reading():
                self._vectors().remove("document", [document])
        place(self.folder, document, ".json").unlink(missing_ok=True)
        self._words = None

    def clear(self) -> None:
        """Take all documents out, whatever embedder they were indexed with."""
        if self.server:
            with self._reading():
                self._open().clear(self.collection)
        else:
            self._remove_vectors()
        for path in files_of(self.folder, ".json"):
            path.unlink()
        self._words = None

    def search(self, question: str, max_results: int = TOP_K) -> list[SearchHit]:
        """Return the passages nearest to a question, the best first."""
        if self._embedder is None:
            index, passages = self._by_words()
            return [passages[number] for number in index.search([question], max_results)[0]]
        vectors = self._embedder.embed_questions([question])  # (1, dimension)
        with self._reading():
            (found,) = self._vectors().nearest(vectors, max_results)
        texts: dict[str, list[str]] = {}
        nearest = []
        for _, label in found:
            document, _, number = label.partition("/")
            if document not in texts:
                texts[document] = _read(place(self.folder, document, ".json"))["passages"]
            with self._reading():
                nearest.append(SearchHit(document, texts[document][int(number)]))
        return nearest

    def close(self) -> None:
        """Close the embedder and the database."""
        if self._embedder is not None:
            self._embedder.close()
        if self._database is not None:
            self._database.close()

    def _put_vectors(
        self,
        hashes: Mapping[str, str],  # of the files, by document
        passages: Mapping[str, Sequence[str]],
        embedder: "Embedder",
    ) -> None:
        texts = [text for of_document in passages.values() for text in of_document]
        embedded = embedder.embed_passages(texts)  # (passages, dimension)
        owners = [name for name, of_document in passages.items() for _ in of_document]
        labels = [f"{name}/{number}" for name in passages for number in range(len(passages[name]))]
        marks = [{"document": name, "sha256": hashes[name]} for name in owners]
        with self._reading():
            vectors = self._vectors()
            vectors.remove("document", list(hashes))
            vectors.add(labels, embedded, marks)

    def _restore(self, files: Mapping[str, tuple[str, int]], embedder: "Embedder") -> None:
        """Make the vectors anew that documents lack; all of them if they cannot be read."""
        try:
            vectors = self._count_vectors(embedder)
        except UserError as damaged:
            if self.server or any(why in str(damaged) for why in NO_DAMAGE):
                raise
            why = one_line(damaged.__cause__ or damaged)
            log.warning(f"{self._chroma} is damaged ({why}): made anew from the passages.")
            self._remove_vectors()
            vectors = Counter()
        for name, (sha256, count) in files.items():
            if vectors[name, sha256] != count:
                passages = _read(place(self.folder, name, ".json"))["passages"]
                self._put_vectors({name: sha256}, {name: passages}, embedder)

    def _count_vectors(self, embedder: "Embedder") -> Counter[tuple[str, str]]:
        """Return the vectors of each document and hash; a search shows that they can be found."""
        probe = embedder.embed_questions(["?"])  # (1, dimension)
        with self._reading():
            vectors = self._vectors()
            vectors.nearest(probe, 1)
            return Counter((mark["document"], mark["sha256"]) for mark in vectors.metadata())

    def _remove_vectors(self) -> None:
        """Remove the folder of the vectors, whatever stands in its place."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._chroma.is_dir() and not self._chroma.is_symlink():
            shutil.rmtree(self._chroma)
        else:
            self._chroma.unlink(missing_ok=True)

    def _reading(self) -> AbstractContextManager[None]:
        """Name what fails inside: the folder of the vectors, or the server."""
        return (
            reading(f"the ChromaDB server {self.server}", fault="failed", advice=START)
            if self.server
            else reading(self._chroma, advice=REPAIR)
        )

    @property
    def _chroma(self) -> Path:
        return self.folder / "chroma"

    def _vectors(self) -> Vectors:
        return self._open().open(self.collection)

    def _open(self) -> Database:
        """Return the database, opened by whoever needs it first."""
        if self._database is None:
            self._database = Database(self.server or self._chroma)
        return self._database

    def _by_words(self) -> tuple[Index, list[SearchHit]]:
        """Return BM25 over all passages, made once: weights depend on all of them."""
        if self._words is None:
            kept = [
                SearchHit(path.stem, passage)
                for path in files_of(self.folder, ".json")
                for passage in _read(path)["passages"]
            ]
            if not kept:
                raise UserError(
                    f"{self.folder} holds no passages. Make it with gist-bench compress."
                )
            self._words = LexicalRetriever().index([found.passage for found in kept]), kept
        return self._words


def place(folder: Path, document: str, suffix: str) -> Path:
    """Return where a file of a document is, or is to be: no folder holds all of them.

    A file that an earlier version put beside all others stays there.
    """
    name = f"{document}{suffix}"
    beside = folder / name
    return beside if beside.exists() else folder / name[:2] / name


def files_of(folder: Path, suffix: str) -> list[Path]:
    """Return the files of all documents in order; others in the folder are not ours."""
    found = (*folder.glob(f"*{suffix}"), *folder.glob(f"[0-9a-f][0-9a-f]/*{suffix}"))
    return sorted((p for p in found if OURS.fullmatch(p.stem)), key=lambda path: path.name)


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
