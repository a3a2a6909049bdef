"""Vectors in ChromaDB, compared by cosine; in memory, in a folder, or in a server.

ChromaDB is given our own vectors and never an embedding function: its default one downloads a
model at the first query by text. It keeps vectors only; the texts stay with whoever asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import UserError, reading

if TYPE_CHECKING:
    import numpy as np
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection
    from numpy.typing import NDArray

START = "Start one: chroma run --host 0.0.0.0 --port 8000 --path FOLDER."
OTHER_FOLDER = (
    "Give a folder that can be written and that ChromaDB made, or a new one. Of a store, give "
    "gist-bench compress again, which makes it anew."
)
_PAGE = 5000  # vectors whose metadata is in memory at once


class Database:
    """Named collections of vectors.

    Raises:
        UserError: ChromaDB is not installed, the folder cannot be used, or no server answers.
    """

    def __init__(self, place: Path | str | None = None) -> None:
        """Open a folder or the address of a server; None: in memory."""
        self._client = _open_client(place)

    def open(self, name: str) -> "Vectors":
        """Return a collection, an empty one if there is none of that name."""
        made = self._client.get_or_create_collection(
            name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        return Vectors(self._client, made)

    def clear(self, name: str) -> None:
        """Delete a collection, if there is one of that name."""
        if name in {collection.name for collection in self._client.list_collections()}:
            self._client.delete_collection(name)

    def close(self) -> None:
        """Close the database, and connections to a server, which chromadb leaves open."""
        self._client.close()
        clients: tuple[Any, ...] = (self._client, self._client._admin_client)
        for client in clients:
            session = getattr(client._server, "_session", None)
            if session is not None:
                session.close()


class Vectors:
    """A collection: vectors, each with a label and what else is recorded of it."""

    def __init__(self, client: "Client", collection: "Collection") -> None:
        self._client = client
        self._collection = collection

    def __len__(self) -> int:
        return self._collection.count()

    def add(
        self,
        labels: Sequence[str],
        vectors: "NDArray[np.float32]",  # (labels, dimension)
        metadata: Sequence[Mapping[str, str]] | None = None,  # (labels)
    ) -> None:
        """Add vectors, in batches that ChromaDB takes."""
        step = self._client.get_max_batch_size()
        for start in range(0, len(labels), step):
            part = list(labels[start : start + step])
            marks: Any = list(metadata[start : start + step]) if metadata else None
            self._collection.add(
                ids=part, embeddings=vectors[start : start + step], metadatas=marks
            )

    def nearest(self, vectors: "NDArray[np.float32]", count: int) -> list[list[tuple[float, str]]]:
        """Return the distances and labels of up to `count` neighbours of each, nearest first."""
        found = self._collection.query(
            query_embeddings=vectors, n_results=count, include=["distances"]
        )
        distances = found["distances"]
        assert distances is not None, "ChromaDB returns the distances it is asked for"
        return [list(zip(*pair, strict=True)) for pair in zip(distances, found["ids"], strict=True)]

    def metadata(self) -> Iterator[Mapping[str, Any]]:
        """Yield the metadata of every vector, some thousands at a time."""
        for start in range(0, len(self), _PAGE):
            part = self._collection.get(include=["metadatas"], limit=_PAGE, offset=start)
            yield from part["metadatas"] or []

    def dimension(self) -> int:
        """Return how many numbers a vector has; 0 if there is none."""
        first = self._collection.get(limit=1, include=["embeddings"])["embeddings"]
        assert first is not None, "ChromaDB returns the vectors it is asked for"
        return len(first[0]) if len(first) else 0

    def remove(self, name: str, values: Sequence[str]) -> None:
        """Delete the vectors whose metadata has one of these values under a name."""
        among: Any = {name: {"$in": list(values)}}
        self._collection.delete(where=among)

    def delete(self) -> None:
        """Delete the collection."""
        self._client.delete_collection(self._collection.name)


def _open_client(place: Path | str | None) -> "Client":
    try:
        import chromadb
        from chromadb.api.client import Client
    except ImportError as missing:
        raise UserError(
            f"rag needs ChromaDB, which cannot be imported ({missing}). "
            "Install it: pip install chromadb; or use embedder=bm25."
        ) from missing
    with reading(f"persist_dir={place}", fault="cannot be used", advice=OTHER_FOLDER):
        if place is None:
            client = chromadb.EphemeralClient()
        elif isinstance(place, str):
            client = _connect(place)
        else:
            client = _open_folder(place)
    assert isinstance(client, Client), "a client that can be closed"
    return client


def _open_folder(folder: Path) -> Any:
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient

    folder.mkdir(parents=True, exist_ok=True)
    try:
        return chromadb.PersistentClient(path=folder)
    except BaseException:
        # ChromaDB keeps what could not start, and would give it to whoever opens the folder next.
        SharedSystemClient._identifier_to_system.pop(str(folder), None)
        raise


def _connect(address: str) -> Any:
    import chromadb

    parts = urlsplit(address)
    with reading(f"no ChromaDB server at {address}", fault="", advice=START):
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is no http://HOST:PORT")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 8000)
        return chromadb.HttpClient(parts.hostname, port, ssl=secure)
