"""mean_pool: read the whole context, keep means of its KV entries, as many as gist keeps gists.

What compressing costs without anything learnt: the base model, no adapter. Keys are averaged
without their rotation, see `gist.pool`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backends.cached import CachedContext, translated
from backends.size import check_size, entries_for
from harness.api import BUDGET
from harness.errors import NotReady, UserError

if TYPE_CHECKING:
    from gist.model import LanguageModel


@dataclass
class MeanPool:
    """The context's KV entries, averaged in groups.

    Args:
        model: handed in by the harness.
        tokens: entries kept for every context.
        ratio: context tokens per entry, instead of `tokens`; 16, as in gist, if neither is given.
    """

    model: "LanguageModel"
    tokens: int | None = field(default=None, metadata=BUDGET)
    ratio: float | None = None

    def __post_init__(self) -> None:
        """Refuse a size that keeps nothing, and a model whose keys cannot be moved."""
        from gist.errors import GistError
        from gist.rotary import check_movable

        check_size(tokens=self.tokens, ratio=self.ratio)
        try:
            check_movable(self.model.model)
        except GistError as unmovable:
            raise NotReady(f"mean_pool cannot average keys: {unmovable}") from unmovable

    def prepare(self, context: str) -> CachedContext:
        """Read the context and average its entries."""
        from gist.pool import mean_pool

        ids = self.model.tokenizer.encode(context)
        if not ids:
            raise UserError("an empty context cannot be pooled. Leave it out of the data.")
        entries = entries_for(len(ids), tokens=self.tokens, ratio=self.ratio)
        with translated():
            state = mean_pool(self.model, ids, entries=entries)
        return CachedContext(self.model, state, context_entries=entries)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing: the options say all."""
        return {}

    def close(self) -> None:
        """Nothing was changed."""
