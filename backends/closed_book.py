"""closed_book: no context at all. What a model answers then was not read: the floor."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends import adapter as adapters
from backends.cached import CachedContext, translated

if TYPE_CHECKING:
    from gist.model import LanguageModel


@dataclass
class ClosedBook:
    """The question without its context.

    Args:
        model: handed in by the harness.
        adapter: `on` answers with the gist adapter's weights.
        checkpoint: the adapter for `adapter=on`; by default the one that belongs to the model.
    """

    model: "LanguageModel"
    adapter: adapters.Switch = "off"
    checkpoint: Path | None = None
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on, if asked for."""
        self._about = adapters.switch(self._open, self.model, self.adapter, self.checkpoint)

    def prepare(self, context: str) -> CachedContext:  # noqa: ARG002 - the point of this backend
        """Read the prompt's beginning, and nothing of the context."""
        from gist.decode import read

        with translated():
            state = read(self.model, self.model.prompt.before)
        return CachedContext(self.model, state, context_entries=0)

    def describe(self) -> Mapping[str, Any]:
        """Return the adapter's hash, if one is on."""
        return self._about

    def close(self) -> None:
        """Take the adapter off."""
        self._open.close()
