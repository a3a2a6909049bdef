"""Gist files of one model and adapter: made from documents, opened to be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends import adapter as adapters
from backends.cached import CachedContext, translated
from backends.gist import Gist
from harness.api import Source

if TYPE_CHECKING:
    from gist.gistfile import About
    from gist.model import LanguageModel


@dataclass
class GistFiles:
    """Writes and opens gist files; the adapter is on the model until `close`.

    Args:
        model: a loaded model.
        checkpoint: the adapter's folder; by default the one that belongs to the model.
        tokens: gist tokens for every document.
        ratio: document tokens per gist token, instead of `tokens`; 16 if neither is given.
        window_tokens: compress a longer document in parts of so many tokens.
    """

    model: "LanguageModel"
    checkpoint: Path | None = None
    tokens: int | None = None
    ratio: float | None = None
    window_tokens: int | None = None
    _gist: Gist = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on."""
        folder = adapters.find(self.model, self.checkpoint)
        self._gist = Gist(
            self.model,
            checkpoint=folder,
            tokens=self.tokens,
            ratio=self.ratio,
            window_tokens=self.window_tokens,
        )
        self._adapter_hash = str(self._gist.describe()["adapter"])

    @property
    def options(self) -> str:
        """How documents are compressed, as it is typed."""
        names = ("tokens", "ratio", "window_tokens")
        given = [(name, getattr(self, name)) for name in names]
        return ",".join(f"{name}={value:g}" for name, value in given if value is not None)

    def identity(self) -> Mapping[str, Any]:
        """Return what must be alike where a file is made and where it is opened."""
        from gist.gistfile import identity

        return identity(self.model, self._adapter_hash)

    def hints(self) -> Mapping[str, str]:
        """Return where model and adapter are found: folders by their whole paths."""
        checkpoint = self.checkpoint.expanduser().resolve() if self.checkpoint else ""
        return {"model": _whole_path(self.model.name), "checkpoint": str(checkpoint)}

    def write(self, source: Source, path: Path, *, force: bool = False) -> "About":
        """Compress a document into a file and return what the file says of itself.

        Raises:
            UserError: the document cannot be compressed, or `path` not written.
            ContextTooLong: it has more tokens than the model has positions.
        """
        from gist.gistfile import About, check_absent, printable, write_gist_file

        with translated():
            check_absent(path, force=force)  # before the work, not after it
            context = self._gist.prepare(source.text)
            hints = self.hints()
            about = About(
                model=printable(hints["model"]),
                checkpoint=printable(hints["checkpoint"]),
                **self.identity(),
                context_tokens=len(self.model.tokenizer.encode(source.text)),
                gists=context.context_entries,
                prefix_entries=context.state.entries - context.context_entries,
                next_position=context.state.next_position,
                source=printable(source.name),
                source_bytes=source.size_bytes,
                source_sha256=source.sha256,
                options=self.options,
            )
            write_gist_file(path, context.state, about, force=force)
        return about

    def open(self, path: Path) -> CachedContext:
        """Return a file's document as it was after compressing, to be asked.

        Raises:
            UserError: it is damaged, or made for another model or adapter.
            OutOfMemory: there is no room for it.
        """
        from gist.gistfile import load_gist_file

        with translated():
            about, state = load_gist_file(path, self.model, self._adapter_hash)
        return CachedContext(self.model, state, context_entries=about.gists)

    def close(self) -> None:
        """Take the adapter off."""
        self._gist.close()


def _whole_path(model: str) -> str:
    """Return a model's folder as a path that holds from anywhere; other names as they are."""
    from gist.folders import REFERENCE

    folder = Path(model).expanduser()
    return str(folder.resolve()) if model != REFERENCE and folder.is_dir() else model
