"""A gist store: one gist file per document of a folder, found again by passages.

    STORE/store.json          model, adapter, options and embedder that all of it was made with
    STORE/documents/ab/*.gist one per document, written last: a document is done when it is there
    STORE/documents/ab/*.json its passages; `backends.stores.passages` has the index
    STORE/lock                held while it is written

`ab` are the first two letters of a document's id, so that no folder has 100,000 files; stores of
earlier versions have them in `documents` itself. Documents are done in batches, which cost less.

A question is answered from the gists of one document: the one with the passage nearest to it.
"""

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.stores.gistfiles import GistFiles
from backends.stores.held import DocumentCache
from backends.stores.passages import TOP_K, Passages, SearchHit, files_of, place
from harness.api import Generation, Source
from harness.errors import SampleError, UserError, reading
from harness.files import locked, write_atomically

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

log = logging.getLogger(__name__)

FORMAT = "gist-bench store 1"
MANIFEST = "store.json"
HELD_BYTES = 2**30
BATCH = 64  # documents in hand: among so many, several have like length


@dataclass(frozen=True, slots=True)
class Change:
    """What an update did with one document."""

    name: str
    what: str  # added, changed, unchanged, removed, failed
    detail: str = ""  # why it failed


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, the document that it comes from, and the passages that pointed to it."""

    generation: Generation
    document: str
    found: tuple[SearchHit, ...]


@dataclass
class Store:
    """Gist files of the documents of a folder.

    Args:
        folder: of the store.
        checkpoint, tokens, ratio, window_tokens: as of `GistFiles`.
        embedder: as in rag.
        held_bytes: of documents that stay in memory between questions.
        chroma: the address of a ChromaDB server for the vectors, which several machines may ask;
            by default the one that the store was made with, or none: the folder has them.
    """

    model: "LanguageModel"
    folder: Path
    checkpoint: Path | None = None
    tokens: int | None = None
    ratio: float | None = None
    window_tokens: int | None = None
    embedder: str = "auto"
    held_bytes: int = HELD_BYTES
    chroma: str | None = None
    _files: GistFiles = field(init=False, repr=False)
    _passages: Passages | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Load the adapter."""
        self._files = GistFiles(
            self.model,
            self.checkpoint,
            self.tokens,
            self.ratio,
            window_tokens=self.window_tokens,
        )
        self._documents = DocumentCache(self._files, self.held_bytes)

    @staticmethod
    def read_manifest(folder: Path) -> dict[str, Any]:
        """Return what `store.json` says.

        Raises:
            UserError: the folder is no store.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise UserError(
                f"{folder} is no gist store: it has no {MANIFEST}. "
                "Make one with gist-bench compress."
            )
        with reading(path, advice="Make the store anew with gist-bench compress."):
            manifest = json.loads(path.read_text(encoding="utf-8"))
        texts = ("model", "checkpoint", "dtype", "options", "embedder", "embedder_hash")
        good = isinstance(manifest, dict) and manifest.get("format") == FORMAT
        if not good or not all(isinstance(manifest.get(name), str) for name in texts):
            raise UserError(f"{path} is of another version, or damaged. Make the store anew.")
        found: dict[str, Any] = manifest
        return found

    def update(self, sources: Iterable[Source], *, force: bool = False) -> Iterator[Change]:
        """Make the store hold exactly the sources, document by document.

        Documents whose files have not changed are kept; those that are not among the sources are
        removed. An update that was stopped at any point is continued by the same call.

        Args:
            sources: all documents.
            force: compress all of them, even if the store was made with other options.

        Raises:
            UserError: another process is writing to it, or it was made with other options.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock", protected=self.folder):
            (self.folder / "documents").mkdir(exist_ok=True)
            done = self._begin(force=force)
            seen = set()
            batch: dict[str, Source] = {}
            try:
                for source in sources:
                    document = document_id(source.name)
                    seen.add(document)
                    if done.get(document) == source.sha256:
                        yield Change(source.name, "unchanged")
                        continue
                    batch[document] = source
                    if len(batch) == BATCH:
                        yield from self._put(batch)
                        batch = {}
            except KeyboardInterrupt:  # while the next one was read: the batch takes a moment
                list(self._put(batch))
                raise
            yield from self._put(batch)
            for document in sorted(set(self._kept()) - seen):
                name = self._name_of(document)
                self._path(document).unlink(missing_ok=True)
                self._index().drop(document)
                yield Change(name, "removed")

    def ask(self, question: str, *, max_new_tokens: int, top_k: int = TOP_K) -> Answer:
        """Answer a question from the document with the nearest passage.

        Raises:
            UserError: the store is empty, damaged, or made for another model or adapter.
        """
        self._check_manifest(self.read_manifest(self.folder))
        found = self._index().search(question, top_k)
        if not found:
            raise UserError(f"{self.folder} holds no documents. Fill it with gist-bench compress.")
        best = found[0].document
        with self._documents.opened(self._path(best)) as context:
            (answer,) = context.generate([question], max_new_tokens=max_new_tokens)
        return Answer(answer, self._name_of(best), tuple(found))

    def close(self) -> None:
        """Unload the adapter and close the index."""
        if self._passages is not None:
            self._passages.close()
        self._files.close()

    def _index(self) -> Passages:
        if self._passages is None:
            device = "cuda" if self.model.device == "cuda" else "cpu"
            made: Mapping[str, Any] = {}
            with suppress(UserError):  # no store is there yet
                made = self.read_manifest(self.folder)
            server = self.chroma or made.get("chroma")
            name = made.get("collection") or (uuid.uuid4().hex if server else "passages")
            self._passages = Passages(
                self.folder / "documents", self.embedder, device, server, name
            )
        return self._passages

    def _begin(self, *, force: bool) -> dict[str, str]:
        """Check or write the manifest; return the finished documents with their files' hashes."""
        manifest = {
            "format": FORMAT,
            **self._files.hints(),
            **self._files.identity(),
            "options": self._files.options,
            **self._index().describe(),
            **self._index().where(),
        }
        kept = None if force else self._manifest_to_continue()
        if kept is not None:
            self._check_manifest(kept)
            if kept["options"] != manifest["options"]:
                raise UserError(
                    f"{self.folder} was made with {kept['options'] or 'default'} options, not "
                    f"{manifest['options'] or 'default'}. "
                    "Give the same, another folder, or --force."
                )
            if "collection" in manifest and "collection" not in kept:
                raise UserError(
                    f"{self.folder} has its vectors in a folder. Give --force to compress it anew "
                    "with those in the server, or leave --chroma out."
                )
            indexed = self._index().indexed()
            return {
                name: sha
                for name, sha in indexed.items()
                if self._files.is_whole(self._path(name), sha)
            }
        for document in self._kept():  # made with other options than the new manifest says
            self._path(document).unlink(missing_ok=True)
        self._index().clear()
        text = json.dumps(manifest, indent=1) + "\n"
        write_atomically(self.folder / MANIFEST, text.encode())
        return {}

    def _manifest_to_continue(self) -> Mapping[str, Any] | None:
        """Return the manifest of a store that is there; None if there is none, or a damaged one."""
        if not (self.folder / MANIFEST).exists():
            return None
        try:
            return self.read_manifest(self.folder)
        except UserError as damaged:
            log.warning(f"{damaged} All of its documents are compressed again.")
            return None

    def _check_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Refuse a store of another model, adapter or embedder."""
        for name, here in {**self._files.identity(), **self._index().describe()}.items():
            if manifest.get(name) != here:
                raise UserError(
                    f"{self.folder} was made with another {name.replace('_', ' ')} "
                    f"({manifest.get(name)}, here {here}): {manifest['model']}, "
                    f"{manifest['checkpoint'] or 'its own adapter'}, {manifest['embedder']}. "
                    "Give these, another folder, or make it anew with gist-bench compress --force."
                )

    def _put(
        self, batch: Mapping[str, Source], earlier: frozenset[str] = frozenset()
    ) -> Iterator[Change]:
        """Put documents in the place of those with their ids; `earlier`: known to have been there.

        What cannot be indexed in a batch is put one by one, and fails by itself.
        """
        if not batch:
            return
        existed = earlier | {document for document in batch if self._path(document).exists()}
        for document in existed:
            self._path(document).unlink(missing_ok=True)  # from here on the document is not done
        try:
            self._index().put(batch)
        except (UserError, SampleError) as refused:
            for document, source in batch.items():
                if len(batch) > 1:
                    yield from self._put({document: source}, existed & {document})
                else:
                    self._index().drop(document)
                    yield Change(source.name, "failed", str(refused))
            return
        documents, sources = list(batch), list(batch.values())
        paths = [self._path(document) for document in documents]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
        for number, written in self._files.write_all(sources, paths):
            name, document = sources[number].name, documents[number]
            if isinstance(written, (UserError, SampleError)):
                self._index().drop(document)
                yield Change(name, "failed", str(written))
            else:
                yield Change(name, "changed" if document in existed else "added")

    def _kept(self) -> set[str]:
        folder = self.folder / "documents"
        return {path.stem for kind in (".gist", ".json") for path in files_of(folder, kind)}

    def _path(self, document: str) -> Path:
        return place(self.folder / "documents", document, ".gist")

    def _name_of(self, document: str) -> str:
        from gist.gistheader import read_manifest

        try:
            return read_manifest(self._path(document)).source
        except UserError:  # missing or damaged
            return document


def document_id(name: str) -> str:
    """Return the name of a document's files: names of documents may be long, or have slashes."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
