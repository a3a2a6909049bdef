"""kvpress: read the whole context, evict the KV entries that matter least to a published score.

    before | context   -> before, and the context's entries with the highest scores

The methods come from NVIDIA's kvpress (https://github.com/NVIDIA/kvpress): SnapKV (arXiv
2404.14469), expected attention (2510.00636), StreamingLLM (2309.17453), TOVA (2401.06104), KeyDiff
(2504.15364), LagKV (2504.04704), norms of keys (2406.11430) and others. Entries are chosen before
a question is known. Every head keeps as many, not the same ones.
"""

from dataclasses import dataclass

from backends.kv.cached import CachedContext
from backends.kv.size import RivalOptions


@dataclass
class KVPress(RivalOptions):
    """The context's KV entries with the highest scores.

    Args:
        press: the method, see `gist.eviction`.
    """

    press: str = "snapkv"

    def __post_init__(self) -> None:
        """Refuse a size that keeps nothing, a press that cuts nothing, and an unknown model."""
        from gist.eviction import PRESSES, check_supported

        super().__post_init__()
        if self.press not in PRESSES:
            raise ValueError(
                f"press={self.press} is not one that keeps equally many entries in every head "
                "from one pass: others mask, give heads other lengths, wrap a press or load "
                f"files. Allowed: {', '.join(PRESSES)}"
            )
        check_supported(self.model)

    def prepare(self, context: str) -> CachedContext:
        """Read the context and evict entries."""
        from gist.decode import read
        from gist.eviction import read_pressed

        before = self.model.prompt.before
        ids = self.model.tokenizer.encode(context)
        kept = self.entries_for(len(ids))
        if kept < len(ids):
            state = read_pressed(
                self.model, [*before, *ids], press=self.press, kept=kept, exempt=len(before)
            )
        else:
            state = read(self.model, [*before, *ids])
        return CachedContext(self.model, state, context_entries=kept)
