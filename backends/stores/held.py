"""Documents of a store in memory, between one question and the next."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.kv.cached import CachedContext
from backends.stores.gistfiles import GistFiles
from harness.errors import UserError


class DocumentCache:
    """Documents in memory, up to a number of bytes; the least recently used one leaves first."""

    def __init__(self, files: GistFiles, max_bytes: int) -> None:
        self._files = files
        self._max_bytes = max_bytes
        self._contexts: OrderedDict[tuple[Path, int, int], CachedContext] = OrderedDict()
        self.loaded = 0  # files read so far

    @property
    def held_bytes(self) -> int:
        """Bytes of all documents in memory."""
        return sum(context.held_bytes for context in self._contexts.values())

    @contextmanager
    def opened(self, path: Path) -> Iterator[CachedContext]:
        """Open a document; it stays in memory if there is room. A changed file is read again."""
        try:
            status = path.stat()
        except FileNotFoundError:
            raise UserError(f"{path} is missing. Give gist-bench compress again.") from None
        key = (path, status.st_mtime_ns, status.st_ino)
        if key not in self._contexts:
            self._contexts[key] = self._files.open(path)
            self.loaded += 1
        self._contexts.move_to_end(key)
        try:
            yield self._contexts[key]
        finally:
            while self.held_bytes > self._max_bytes:
                self._contexts.popitem(last=False)[1].close()
