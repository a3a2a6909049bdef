"""hierarchical: gists of gists. Windows compressed apart, their gists compressed again.

See `gist.hierarchy` for what the second level reads, and which adapters have learnt it.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from backends.kv.adapter import GistOptions
from backends.kv.cached import CachedContext
from backends.kv.segments import check_segment_tokens, compress_spans, cut_segments
from backends.kv.size import entries_for
from harness.errors import NotReady


@dataclass
class Hierarchical(GistOptions):
    """The context as gists of gists, for adapters that were trained with `twice`.

    Args:
        tokens: gist tokens of the second level for every context.
        ratio: context tokens for each of them, instead of `tokens`; 16 if neither is given.
        window_tokens: context tokens that the first level compresses by themselves.
        fan_in: windows that the second level reads together.
        first_ratio: context tokens per gist of the first level.
    """

    runs_unasked: ClassVar[bool] = False

    window_tokens: int = 256
    fan_in: int = 2
    first_ratio: float = 4.0

    def __post_init__(self) -> None:
        """Check the options and load the adapter."""
        check_segment_tokens("window_tokens", self.window_tokens)
        if self.fan_in < 1:
            raise ValueError(f"fan_in={self.fan_in} must be at least 1")
        if self.first_ratio < 1:
            raise ValueError(f"first_ratio={self.first_ratio:g} must be at least 1")
        super().__post_init__()
        if self._adapter.plan.pools:
            self.close()
            raise NotReady("hierarchical has gist tokens read gists, and this adapter pools")

    def prepare(self, context: str) -> CachedContext:
        """Compress the windows, then their gists."""
        from gist.hierarchy import allocate_condensed, condense
        from gist.windows import join

        plan = self._adapter.plan
        spans = cut_segments(self.model, context, self.window_tokens)
        size = partial(entries_for, tokens=None, ratio=self.first_ratio)
        first = compress_spans(self.model, plan, context, spans, entries_for=size)
        read = [part.gists.entries for part in first.parts]
        wanted = self.entries_for(len(self.model.tokenizer.encode(context)))
        gists = allocate_condensed(read, wanted, fan_in=self.fan_in, plan=plan)
        second = condense(self.model, first, fan_in=self.fan_in, gists=gists, plan=plan)
        state = join(self.model, second.prefix, second.parts)
        return CachedContext(self.model, state, context_entries=sum(gists))
