"""gist: compress the context into gist tokens once, keep their KV entries alone, ask many times."""

from dataclasses import dataclass
from typing import Literal

from backends.kv.adapter import GistOptions, redraw_gists
from backends.kv.cached import Bits, CachedContext
from backends.kv.segments import check_segment_tokens


@dataclass
class Gist(GistOptions):
    """The context as a few learned tokens.

    Args:
        tokens: gist tokens for every context, as far as it and the adapter have room for them.
        embeddings: `random` replaces the trained gist embeddings by draws like those that training
            began with, and leaves the rest of the adapter as it is.
        window_tokens: compress a longer context in parts of so many tokens, each by itself, and
            join their gists: see `gist.windows`.
        kv_bits: keep the gists in so many bits, see `gist.packing`.
    """

    embeddings: Literal["trained", "random"] = "trained"
    window_tokens: int | None = None
    kv_bits: Bits | None = None

    def __post_init__(self) -> None:
        """Load the adapter."""
        check_segment_tokens("window_tokens", self.window_tokens)
        super().__post_init__()
        if self.embeddings == "random":
            try:
                redraw_gists(self.model, self._adapter.plan)
            except BaseException:
                self.close()
                raise

    def prepare(self, context: str) -> CachedContext:
        """Compress the context."""
        return self.compress(context, self.window_tokens).packed(self.kv_bits)
