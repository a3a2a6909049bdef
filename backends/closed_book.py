"""closed_book: no context at all. What a model answers then was not read: the floor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.adapter import Switch
from backends.cached import CachedContext
from backends.full import Full

if TYPE_CHECKING:
    from gist.model import LanguageModel


@dataclass
class ClosedBook:
    """The question without its context: full context, of nothing.

    Args:
        model: handed in by the harness.
        adapter: `on` answers with the gist adapter's weights.
        checkpoint: the adapter for `adapter=on`; by default the one that belongs to the model.
    """

    model: "LanguageModel"
    adapter: Switch = "off"
    checkpoint: Path | None = None
    _full: Full = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on, if asked for."""
        self._full = Full(self.model, self.adapter, self.checkpoint)

    def prepare(self, context: str) -> CachedContext:  # noqa: ARG002 - the point of this backend
        """Read the prompt's beginning, and nothing of the context."""
        return self._full.prepare("")

    def describe(self) -> Mapping[str, Any]:
        """Return the adapter's hash, if one is on."""
        return self._full.describe()

    def close(self) -> None:
        """Take the adapter off."""
        self._full.close()
