"""truncate: the head and the tail of the context, cut to a budget of tokens.

The cheapest compression there is: a learned one of the same size must beat it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.kv.cached import CachedContext
from backends.kv.size import SizeOptions

if TYPE_CHECKING:
    from gist.models.model import LanguageModel


@dataclass
class Truncate(SizeOptions):
    """Half of the budget from the context's start, half from its end.

    Args:
        tokens: context tokens kept.
        ratio: context tokens per token kept, instead of `tokens`; 16, as in gist, if neither is
            given.
    """

    model: "LanguageModel"

    def prepare(self, context: str) -> CachedContext:
        """Cut the context and read what is left."""
        from gist.decode import read

        ids = self.model.tokenizer.encode(context)
        budget = self.entries_for(len(ids))
        kept = head_and_tail(ids, budget)
        state = read(self.model, [*self.model.prompt.before, *(i for part in kept for i in part)])
        shown = () if budget == len(ids) else tuple(map(self.model.tokenizer.decode, kept))
        return CachedContext(self.model, state, context_entries=budget, evidence=shown)


def head_and_tail(ids: Sequence[int], budget: int) -> list[Sequence[int]]:
    """Return the first and the last half of a budget of tokens, without an empty half."""
    tail = budget // 2
    return [part for part in (ids[: budget - tail], ids[len(ids) - tail :]) if part]
