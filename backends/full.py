"""full: read the whole context once, keep every KV entry, ask many times.

With its cache kept between questions this is prefix caching: what a compressed context has to beat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.kv.adapter import LoadedAdapter, Switch, load_adapter
from backends.kv.cached import CachedContext

if TYPE_CHECKING:
    from gist.models.model import LanguageModel


@dataclass
class Full:
    """The whole context in the prompt.

    Args:
        model: handed in by the harness.
        adapter: `on` reads and answers with the gist adapter's weights, without any gists: how
            much of the adapter's gain is fine-tuning and not compression.
        checkpoint: the adapter for `adapter=on`; by default the one that belongs to the model.
    """

    model: "LanguageModel"
    adapter: Switch = "off"
    checkpoint: Path | None = None
    _adapter: LoadedAdapter | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Load the adapter, if asked for."""
        if self.adapter == "on":
            self._adapter = load_adapter(self.model, self.checkpoint)

    def prepare(self, context: str) -> CachedContext:
        """Read the context."""
        from gist.decode import read

        ids = self.model.tokenizer.encode(context)
        state = read(self.model, [*self.model.prompt.before, *ids])
        return CachedContext(self.model, state, context_entries=len(ids))

    def describe(self) -> Mapping[str, Any]:
        """Return the adapter's hash, if one is loaded."""
        return self._adapter.describe() if self._adapter else {}

    def close(self) -> None:
        """Unload the adapter."""
        if self._adapter:
            self._adapter.close()
