"""Gist files of one model and adapter: made from documents, opened to be asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.kv.adapter import GistOptions
from backends.kv.cached import CachedContext
from backends.kv.segments import check_segment_tokens, compress_contexts
from harness.api import Source
from harness.errors import OutOfMemory, SampleError, UserError

if TYPE_CHECKING:
    from gist.decode import KVState
    from gist.gistheader import Manifest


@dataclass
class GistFiles(GistOptions):
    """Writes and opens gist files; the adapter is on the model until `close`.

    Args:
        window_tokens: compress a longer document in parts of so many tokens.
    """

    window_tokens: int | None = None

    def __post_init__(self) -> None:
        """Load the adapter."""
        check_segment_tokens("window_tokens", self.window_tokens)
        super().__post_init__()

    @property
    def options(self) -> str:
        """How documents are compressed, as it is typed."""
        names = ("tokens", "ratio", "window_tokens")
        given = [(name, getattr(self, name)) for name in names]
        return ",".join(f"{name}={value:g}" for name, value in given if value is not None)

    def identity(self) -> Mapping[str, Any]:
        """Return what must be the same where a file is made and where it is opened."""
        from gist.gistfile import identity

        return identity(self.model, self._adapter.adapter_id)

    def hints(self) -> Mapping[str, str]:
        """Return where model and adapter are found: folders by their whole paths."""
        from gist.gistfile import hints

        return hints(self.model, self.checkpoint)

    def write(self, source: Source, path: Path, *, force: bool = False) -> "Manifest":
        """Compress a document into a file and return what the file says of itself.

        Raises:
            UserError: the document cannot be compressed, or `path` not written.
            ContextTooLong: it has more tokens than the model has positions.
        """
        from gist.gistfile import check_absent

        check_absent(path, force=force)  # before the work, not after it
        context = self.compress(source.text, self.window_tokens)
        return self._write(source, context, path, force=force)

    def write_all(
        self, sources: Sequence[Source], paths: Sequence[Path]
    ) -> "Iterator[tuple[int, Manifest | UserError | SampleError]]":
        """Compress documents into files, those of like length together.

        The files hold gists alone: of a short document, most entries would be those of the prompt's
        beginning. In a batch that is read by itself, as `open` reads it again.

        Yields:
            the number of each document with what its file says, or why there is none.
        """
        compressed = compress_contexts(
            self.model,
            self._adapter.plan,
            [source.text for source in sources],
            entries_for=self.entries_for,
            window_tokens=self.window_tokens,
        )
        for number, context in compressed:
            if isinstance(context, CachedContext):
                try:
                    yield number, self._write(sources[number], context, paths[number], front=False)
                except UserError as refused:
                    yield number, refused
            else:
                yield number, context

    def _write(
        self,
        source: Source,
        context: CachedContext,
        path: Path,
        *,
        front: bool = True,
        force: bool = False,
    ) -> "Manifest":
        from gist.gistfile import write_gist_file
        from gist.gistheader import Manifest, printable

        hints, state = self.hints(), context.state.opened(self.model)
        prefix_entries = state.entries - context.context_entries
        manifest = Manifest(
            model=printable(hints["model"]),
            checkpoint=printable(hints["checkpoint"]),
            **self.identity(),
            context_tokens=len(self.model.tokenizer.encode(source.text)),
            gists=context.context_entries,
            prefix_entries=prefix_entries,
            next_position=state.next_position,
            source=printable(source.name),
            source_bytes=source.size_bytes,
            source_sha256=source.sha256,
            options=self.options,
        )
        held = state if front else state.keep(range(prefix_entries, state.entries))
        write_gist_file(path, held, manifest, force=force)
        return manifest

    def open(self, path: Path) -> CachedContext:
        """Return a file's document as it was after compressing, to be asked.

        Raises:
            UserError: it is damaged, or made for another model or adapter.
            OutOfMemory: there is no room for it.
        """
        from gist.gistfile import load_gist_file

        manifest, state = load_gist_file(path, self.model, self._adapter.adapter_id)
        if state.entries < manifest.entries:
            state = self._front.followed_by(state)
        return CachedContext(self.model, state, context_entries=manifest.gists)

    @cached_property
    def _front(self) -> "KVState":
        """The entries of the prompt's beginning, which every document has in front."""
        from gist.decode import read

        return read(self.model, self.model.prompt.before)

    def is_whole(self, path: Path, sha256: str) -> bool:
        """Say whether a file is there, undamaged, and of the document with this hash."""
        from gist.gistfile import load_gist_file

        try:
            manifest, _ = load_gist_file(path, self.model, self._adapter.adapter_id)
        except UserError:
            return False
        except OutOfMemory:  # it cannot be read here; its header is all that is known
            return True
        return manifest.source_sha256 == sha256
