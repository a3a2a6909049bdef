"""gist: compress the context into gist tokens once, keep their KV entries alone, ask many times."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends import adapter as adapters
from backends.cached import CachedContext, translated
from harness.errors import UserError

if TYPE_CHECKING:
    from gist.model import LanguageModel


@dataclass
class Gist:
    """The context as a few learned tokens.

    Args:
        model: handed in by the harness.
        checkpoint: a folder made by train-gist; by default the one that belongs to the model.
        tokens: gist tokens for every context.
        ratio: context tokens per gist token, instead of `tokens`; 16 if neither is given.
        untrained: use an adapter that nobody has trained: its costs are right, its answers are not.
    """

    model: "LanguageModel"
    checkpoint: Path | None = None
    tokens: int | None = None
    ratio: float | None = None
    untrained: bool = False
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on."""
        if self.tokens is not None and self.ratio is not None:
            raise ValueError("tokens and ratio say the same thing twice; give one of them")
        if self.tokens is not None and self.tokens < 1:
            raise ValueError(f"tokens={self.tokens} must be at least 1")
        if self.ratio is not None and self.ratio < 1:
            raise ValueError(f"ratio={self.ratio:g} must be at least 1")
        if self.untrained:
            self._plan = self._open.enter_context(adapters.untrained(self.model))
            self._about: dict[str, Any] = {"adapter": "untrained"}
        else:
            folder = adapters.find(self.model, self.checkpoint)
            card = self._open.enter_context(adapters.attached(self.model, folder))
            self._plan = card.plan
            self._about = adapters.about(folder)

    def prepare(self, context: str) -> CachedContext:
        """Compress the context."""
        from gist.compress import compress, gists_for

        ids = self.model.tokenizer.encode(context)
        if not ids:
            raise UserError("an empty context cannot be compressed. Leave it out of the data.")
        gists = gists_for(len(ids), tokens=self.tokens, ratio=self.ratio)
        with translated():
            state = compress(self.model, ids, gists=gists, plan=self._plan)
        return CachedContext(self.model, state, context_entries=gists)

    def describe(self) -> Mapping[str, Any]:
        """Return the adapter's hash."""
        return self._about

    def close(self) -> None:
        """Take the adapter off."""
        self._open.close()
