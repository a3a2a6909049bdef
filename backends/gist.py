"""gist: compress the context into gist tokens once, keep their KV entries alone, ask many times."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backends import adapter as adapters
from backends.cached import CachedContext, translated
from backends.segments import check_segment_tokens, compressed, cut
from backends.size import check_size, entries_for
from harness.api import BUDGET
from harness.errors import UserError

if TYPE_CHECKING:
    from gist.model import LanguageModel


@dataclass
class Gist:
    """The context as a few learned tokens.

    Args:
        model: handed in by the harness.
        checkpoint: a folder made by train-gist; by default the one that belongs to the model.
        tokens: gist tokens for every context, as far as it and the adapter have room for them.
        ratio: context tokens per gist token, instead of `tokens`; 16 if neither is given.
        untrained: use an adapter that nobody has trained: its costs are right, its answers are not.
        embeddings: `random` puts draws like those that training began with in the place of the
            trained gist embeddings, and leaves the rest of the adapter as it is.
        window_tokens: compress a longer context in parts of so many tokens, each by itself, and
            set their gists one after another: see `gist.windows`.
    """

    model: "LanguageModel"
    checkpoint: Path | None = None
    tokens: int | None = field(default=None, metadata=BUDGET)
    ratio: float | None = None
    untrained: bool = False
    embeddings: Literal["trained", "random"] = "trained"
    window_tokens: int | None = None
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on."""
        check_size(tokens=self.tokens, ratio=self.ratio)
        if self.window_tokens is not None:
            check_segment_tokens("window_tokens", self.window_tokens)
        self._plan, self._about = adapters.put_on(
            self._open, self.model, self.checkpoint, untrained=self.untrained
        )
        if self.embeddings == "random":
            adapters.redraw_gists(self.model)

    def prepare(self, context: str) -> CachedContext:
        """Compress the context."""
        from gist.compress import compress
        from gist.layout import most_gists

        ids = self.model.tokenizer.encode(context)
        if not ids:
            raise UserError("an empty context cannot be compressed. Leave it out of the data.")
        if self.window_tokens is not None and len(ids) > self.window_tokens:
            return self._joined_windows(context, self.window_tokens)
        gists = entries_for(len(ids), tokens=self.tokens, ratio=self.ratio)
        gists = min(gists, most_gists(len(ids), self._plan))
        with translated():
            state = compress(self.model, ids, gists=gists, plan=self._plan)
        return CachedContext(self.model, state, context_entries=gists)

    def _joined_windows(self, context: str, window_tokens: int) -> CachedContext:
        from gist.windows import join

        spans = cut(self.model, context, window_tokens)
        windows = compressed(
            self.model, self._plan, context, spans, tokens=self.tokens, ratio=self.ratio
        )
        with translated():
            state = join(self.model, windows.prefix, windows.parts)
        return CachedContext(self.model, state, state.entries - windows.prefix.count)

    def describe(self) -> Mapping[str, Any]:
        """Return the adapter's hash."""
        return self._about

    def close(self) -> None:
        """Take the adapter off."""
        self._open.close()
