"""closed_book: no context at all. What a model answers then was not read: the floor."""

from dataclasses import dataclass

from backends.kv.adapter import AdapterSwitch
from backends.kv.cached import CachedContext


@dataclass
class ClosedBook(AdapterSwitch):
    """The question without its context: full context, of nothing.

    Args:
        adapter: `on` answers with the gist adapter's weights.
    """

    def prepare(self, context: str) -> CachedContext:  # noqa: ARG002 - the point of this backend
        """Read the prompt's beginning, and nothing of the context."""
        from gist.decode import read

        return CachedContext(self.model, read(self.model, self.model.prompt.before), 0)
