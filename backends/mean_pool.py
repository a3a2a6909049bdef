"""mean_pool: read the whole context, keep means of its KV entries, as many as gist keeps gists.

Compression with nothing learned: the base model, no adapter. Keys are averaged
without their rotation, see `gist.pool`.
"""

from dataclasses import dataclass

from backends.kv.cached import CachedContext
from backends.kv.size import RivalOptions
from harness.errors import NotReady, UserError


@dataclass
class MeanPool(RivalOptions):
    """The context's KV entries, averaged in groups."""

    def __post_init__(self) -> None:
        """Refuse a size that keeps nothing, and a model whose keys cannot be moved."""
        from gist.rotary import check_movable

        super().__post_init__()
        try:
            check_movable(self.model.model)
        except UserError as unmovable:
            raise NotReady(f"mean_pool cannot average keys: {unmovable}") from unmovable

    def prepare(self, context: str) -> CachedContext:
        """Read the context and average its KV entries."""
        from gist.pool import mean_pool

        ids = self.model.tokenizer.encode(context)
        if not ids:
            raise UserError("an empty context cannot be pooled. Leave it out of the data.")
        entries = self.entries_for(len(ids))
        state = mean_pool(self.model, ids, entries=entries)
        return CachedContext(self.model, state, context_entries=entries)
