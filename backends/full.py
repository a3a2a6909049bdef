"""full: read the whole context once, keep every KV entry, ask many times.

With its cache kept between questions this is prefix caching: what a compressed context has to beat.
"""

from dataclasses import dataclass

from backends.kv.adapter import AdapterSwitch
from backends.kv.cached import Bits, CachedContext


@dataclass
class Full(AdapterSwitch):
    """The whole context in the prompt.

    Args:
        adapter: `on` reads and answers with the gist adapter's weights, without any gists: how
            much of the adapter's gain is fine-tuning and not compression.
        kv_bits: keep the context's KV entries in so many bits, see `gist.packing`.
    """

    kv_bits: Bits | None = None

    def prepare(self, context: str) -> CachedContext:
        """Read the context."""
        from gist.decode import read

        ids = self.model.tokenizer.encode(context)
        state = read(self.model, [*self.model.prompt.before, *ids])
        return CachedContext(self.model, state, context_entries=len(ids)).packed(self.kv_bits)
