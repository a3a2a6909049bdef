"""truncate: the head and the tail of the context, cut to a budget of tokens.

The cheapest compression there is: a learned one of the same size must beat it.
"""

from dataclasses import dataclass

from backends.kv.cached import CachedContext
from backends.kv.size import SizeOptions, entries_for


@dataclass
class Truncate(SizeOptions):
    """Half of the budget from the context's start, half from its end.

    Args:
        model: handed in by the harness.
        tokens: context tokens kept.
        ratio: context tokens per token kept, instead of `tokens`; 16, as in gist, if neither is
            given.
    """

    def prepare(self, context: str) -> CachedContext:
        """Cut the context and read what is left."""
        from gist.decode import read

        ids = self.model.tokenizer.encode(context)
        budget = entries_for(len(ids), tokens=self.tokens, ratio=self.ratio)
        tail = budget // 2
        head = budget - tail
        kept = [part for part in (ids[:head], ids[len(ids) - tail :]) if part]
        state = read(self.model, [*self.model.prompt.before, *(i for part in kept for i in part)])
        shown = () if budget == len(ids) else tuple(map(self.model.tokenizer.decode, kept))
        return CachedContext(self.model, state, context_entries=budget, evidence=shown)
