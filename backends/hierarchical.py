"""hierarchical: gists of gists. Windows compressed apart, their gists compressed again.

See `gist.hierarchy` for what the second level reads. The adapter was not trained for it.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends import adapter as adapters
from backends.cached import CachedContext, translated
from backends.segments import check_segment_tokens, compressed, cut
from backends.size import check_size, entries_for
from harness.api import BUDGET
from harness.errors import UserError

if TYPE_CHECKING:
    from gist.model import LanguageModel


@dataclass
class Hierarchical:
    """The context as gists of gists.

    Args:
        model: handed in by the harness.
        checkpoint: a folder made by train-gist; by default the one that belongs to the model.
        tokens: gist tokens of the second level for every context.
        ratio: context tokens for each of them, instead of `tokens`; 16 if neither is given.
        untrained: use an adapter that nobody has trained: its costs are right, its answers are not.
        window_tokens: context tokens that the first level compresses by themselves.
        fan_in: windows that the second level reads together.
        first_ratio: context tokens per gist of the first level.
    """

    model: "LanguageModel"
    checkpoint: Path | None = None
    tokens: int | None = field(default=None, metadata=BUDGET)
    ratio: float | None = None
    untrained: bool = False
    window_tokens: int = 256
    fan_in: int = 2
    first_ratio: float = 4.0
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on."""
        check_size(tokens=self.tokens, ratio=self.ratio)
        check_segment_tokens("window_tokens", self.window_tokens)
        if self.fan_in < 1:
            raise ValueError(f"fan_in={self.fan_in} must be at least 1")
        if self.first_ratio < 1:
            raise ValueError(f"first_ratio={self.first_ratio:g} must be at least 1")
        self._plan, self._about = adapters.put_on(
            self._open, self.model, self.checkpoint, untrained=self.untrained
        )

    def prepare(self, context: str) -> CachedContext:
        """Compress the windows, then their gists."""
        from gist.hierarchy import condense
        from gist.windows import join, share_gists

        if not context.strip():
            raise UserError("an empty context cannot be compressed. Leave it out of the data.")
        spans = cut(self.model, context, self.window_tokens)
        first = compressed(
            self.model, self._plan, context, spans, tokens=None, ratio=self.first_ratio
        )
        read = [part.gists.count for part in first.parts]
        groups = [sum(read[at : at + self.fan_in]) for at in range(0, len(read), self.fan_in)]
        wanted = entries_for(
            len(self.model.tokenizer.encode(context)), tokens=self.tokens, ratio=self.ratio
        )
        with translated():
            shares = share_gists(groups, wanted, self._plan)
            gists = [min(share, self._plan.rows) for share in shares]
            second = condense(self.model, first, fan_in=self.fan_in, gists=gists, plan=self._plan)
            state = join(self.model, second.prefix, second.parts)
        return CachedContext(self.model, state, context_entries=sum(gists))

    def describe(self) -> Mapping[str, Any]:
        """Return the adapter's hash."""
        return self._about

    def close(self) -> None:
        """Take the adapter off."""
        self._open.close()
