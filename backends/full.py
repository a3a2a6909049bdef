"""full: read the whole context once, keep every KV entry, ask many times.

With its cache kept between questions this is prefix caching: what a compressed context has to beat.
"""

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
class Full:
    """The whole context in the prompt.

    Args:
        model: handed in by the harness.
        adapter: `on` reads and answers with the gist adapter's weights, without any gists: what
            of the adapter's gain is fine-tuning and not compression.
        checkpoint: the adapter for `adapter=on`; by default the one that belongs to the model.
    """

    model: "LanguageModel"
    adapter: adapters.Switch = "off"
    checkpoint: Path | None = None
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on, if asked for."""
        self._about = adapters.switch(self._open, self.model, self.adapter, self.checkpoint)

    def prepare(self, context: str) -> CachedContext:
        """Read the context."""
        from gist.decode import read

        ids = self.model.tokenizer.encode(context)
        with translated():
            state = read(self.model, [*self.model.prompt.before, *ids])
        return CachedContext(self.model, state, context_entries=len(ids))

    def describe(self) -> Mapping[str, Any]:
        """Return the adapter's hash, if one is on."""
        return self._about

    def close(self) -> None:
        """Take the adapter off."""
        self._open.close()
