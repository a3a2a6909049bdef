"""truncate: the head and the tail of the context, cut to a budget of tokens.

The cheapest compression there is: a learned one of the same size must beat it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backends.cached import CachedContext, translated
from backends.size import check_size, entries_for
from harness.api import BUDGET

if TYPE_CHECKING:
    from gist.model import LanguageModel


@dataclass
class Truncate:
    """Half of the budget from the context's start, half from its end.

    Args:
        model: handed in by the harness.
        tokens: context tokens kept.
        ratio: context tokens per token kept, instead of `tokens`; 16, as in gist, if neither is
            given.
    """

    model: "LanguageModel"
    tokens: int | None = field(default=None, metadata=BUDGET)
    ratio: float | None = None

    def __post_init__(self) -> None:
        """Refuse a budget that keeps nothing."""
        check_size(tokens=self.tokens, ratio=self.ratio)

    def prepare(self, context: str) -> CachedContext:
        """Cut the context and read what is left."""
        from gist.decode import read

        ids = self.model.tokenizer.encode(context)
        budget = entries_for(len(ids), tokens=self.tokens, ratio=self.ratio)
        tail = budget // 2
        head = budget - tail
        kept = [part for part in (ids[:head], ids[len(ids) - tail :]) if part]
        with translated():
            state = read(
                self.model, [*self.model.prompt.before, *(i for part in kept for i in part)]
            )
        shown = () if budget == len(ids) else tuple(map(self.model.tokenizer.decode, kept))
        return CachedContext(self.model, state, context_entries=budget, evidence=shown)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing: the options say all."""
        return {}

    def close(self) -> None:
        """Nothing was changed."""
