"""A gist store: one gist file per document of a folder, found again by passages.

    STORE/store.json          model, adapter, options and embedder that all of it was made with
    STORE/documents/*.gist    one per document, written last: a document is done when it is there
    STORE/documents/*.json    its passages; `backends.passages` has the index
    STORE/lock                held while it is written

A question is answered from the gists of one document: the one with the passage nearest to it.
"""

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.cached import CachedContext, translated
from backends.gistfiles import GistFiles
from backends.passages import TOP_K, Found, Passages
from harness.api import Generation, Source
from harness.errors import SampleError, UserError

if TYPE_CHECKING:
    from gist.model import LanguageModel

FORMAT = "gist-bench store 1"
CARD = "store.json"
HELD_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one document."""

    name: str
    what: str  # added, changed, unchanged, removed, failed
    detail: str = ""  # why it failed


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, the document that it comes from, and the passages that pointed to it."""

    generation: Generation
    document: str
    found: tuple[Found, ...]


class Held:
    """Documents in memory, up to a number of bytes; the one that was not asked longest leaves."""

    def __init__(self, files: GistFiles, limit_bytes: int) -> None:
        self._files = files
        self._limit_bytes = limit_bytes
        self._contexts: OrderedDict[tuple[Path, int, int], CachedContext] = OrderedDict()
        self.loaded = 0  # files read so far

    @property
    def held_bytes(self) -> int:
        """Bytes of all documents held."""
        return sum(context.held_bytes for context in self._contexts.values())

    @contextmanager
    def lent(self, path: Path) -> Iterator[CachedContext]:
        """Lend a document; it stays in memory if there is room, and a changed file is read anew."""
        try:
            about = path.stat()
        except FileNotFoundError:
            raise UserError(f"{path} is missing. Give gist-bench compress again.") from None
        key = (path, about.st_mtime_ns, about.st_ino)
        if key not in self._contexts:
            self._contexts[key] = self._files.open(path)
            self.loaded += 1
        self._contexts.move_to_end(key)
        try:
            yield self._contexts[key]
        finally:
            while self.held_bytes > self._limit_bytes:
                self._contexts.popitem(last=False)[1].close()


@dataclass
class Store:
    """Gist files of the documents of a folder.

    Args:
        model: a loaded model.
        folder: of the store.
        checkpoint: the adapter's folder; by default the one that belongs to the model.
        tokens: gist tokens for every document.
        ratio: document tokens per gist token, instead of `tokens`.
        window_tokens: compress a longer document in parts of so many tokens.
        embedder: as in rag.
        held_bytes: of documents that stay in memory between questions.
    """

    model: "LanguageModel"
    folder: Path
    checkpoint: Path | None = None
    tokens: int | None = None
    ratio: float | None = None
    window_tokens: int | None = None
    embedder: str = "auto"
    held_bytes: int = HELD_BYTES
    _files: GistFiles = field(init=False, repr=False)
    _passages: Passages | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on."""
        self._files = GistFiles(
            self.model, self.checkpoint, self.tokens, self.ratio, self.window_tokens
        )
        self._held = Held(self._files, self.held_bytes)

    @staticmethod
    def read_card(folder: Path) -> dict[str, Any]:
        """Return what `store.json` says.

        Raises:
            UserError: the folder is no store.
        """
        path = folder / CARD
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{folder} is no gist store: it has no {CARD}. Make one with gist-bench compress."
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        texts = ("model", "checkpoint", "dtype", "options", "embedder", "embedder_hash")
        good = isinstance(card, dict) and card.get("format") == FORMAT
        if not good or not all(isinstance(card.get(name), str) for name in texts):
            raise UserError(f"{path} is of another version, or damaged. Make the store anew.")
        found: dict[str, Any] = card
        return found

    def update(self, sources: Iterable[Source], *, force: bool = False) -> Iterator[Change]:
        """Bring the store to what the sources are, document by document.

        Documents whose files are as they were are left as they are; those that are not among the
        sources are dropped. Stopped at any point, it is continued by the same call.

        Args:
            sources: all documents.
            force: compress all of them, also where the store was made otherwise.

        Raises:
            UserError: another process is writing to it, or it was made otherwise.
        """
        with self._locked():
            (self.folder / "documents").mkdir(exist_ok=True)
            done = self._begin(force=force)
            seen = set()
            for source in sources:
                document = document_id(source.name)
                seen.add(document)
                yield self._put(document, source, earlier=done.get(document))
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
        self._check_card(self.read_card(self.folder))
        found = self._index().search(question, top_k)
        if not found:
            raise UserError(f"{self.folder} holds no documents. Fill it with gist-bench compress.")
        best = found[0].document
        with self._held.lent(self._path(best)) as context:
            (answer,) = context.generate([question], max_new_tokens=max_new_tokens)
        return Answer(answer, self._name_of(best), tuple(found))

    def close(self) -> None:
        """Take the adapter off and close the index."""
        if self._passages is not None:
            self._passages.close()
        self._files.close()

    def _index(self) -> Passages:
        if self._passages is None:
            device = "cuda" if self.model.device == "cuda" else "cpu"
            self._passages = Passages(self.folder / "documents", self.embedder, device)
        return self._passages

    def _begin(self, *, force: bool) -> dict[str, str]:
        """Check or write the card; return the documents that are done, with their files' hashes."""
        card = {
            "format": FORMAT,
            **self._files.hints(),
            **self._files.identity(),
            "options": self._files.options,
            **self._index().describe(),
        }
        if (self.folder / CARD).exists() and not force:
            kept = self.read_card(self.folder)
            self._check_card(kept)
            if kept["options"] != card["options"]:
                raise UserError(
                    f"{self.folder} was made with {kept['options'] or 'default'} options, not "
                    f"{card['options'] or 'default'}. Give the same, another folder, or --force."
                )
            indexed = self._index().indexed()
            return {name: sha for name, sha in indexed.items() if self._path(name).exists()}
        for document in self._kept():  # made otherwise, and the card will say that it was not
            self._path(document).unlink(missing_ok=True)
        self._index().clear()
        written = self.folder / "store.tmp"
        written.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        written.replace(self.folder / CARD)
        return {}

    def _check_card(self, card: Mapping[str, Any]) -> None:
        """Refuse a store of another model, adapter or embedder."""
        for name, here in {**self._files.identity(), **self._index().describe()}.items():
            if card.get(name) != here:
                raise UserError(
                    f"{self.folder} was made with another {name.replace('_', ' ')} "
                    f"({card.get(name)}, here {here}): {card['model']}, "
                    f"{card['checkpoint'] or 'its own adapter'}, {card['embedder']}. Give these, "
                    "another folder, or make it anew with gist-bench compress --force."
                )

    def _put(self, document: str, source: Source, *, earlier: str | None) -> Change:
        if earlier == source.sha256:
            return Change(source.name, "unchanged")
        path = self._path(document)
        existed = path.exists()
        path.unlink(missing_ok=True)  # from here on the document is not done
        try:
            self._index().put(document, name=source.name, sha256=source.sha256, text=source.text)
            self._files.write(source, path)
        except (UserError, SampleError) as refused:
            self._index().drop(document)
            return Change(source.name, "failed", str(refused))
        return Change(source.name, "changed" if existed else "added")

    def _kept(self) -> set[str]:
        folder = self.folder / "documents"
        return {path.stem for kind in ("*.gist", "*.json") for path in folder.glob(kind)}

    def _path(self, document: str) -> Path:
        return self.folder / "documents" / f"{document}.gist"

    def _name_of(self, document: str) -> str:
        from gist.gistfile import read_about

        path = self._path(document)
        if not path.exists():
            return document
        with translated():
            return read_about(path).source

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing while this one does."""
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "lock", timeout=0):
                yield
        except Timeout:
            raise UserError(
                f"another process is writing to {self.folder}. Wait for it, or stop it first."
            ) from None


def document_id(name: str) -> str:
    """Return the name of a document's files: names of documents may be long, or have slashes."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
