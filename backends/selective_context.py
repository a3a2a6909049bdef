"""selective_context: drop the words that tell a model least; read what is left, in its order.

Words are dropped before the question is known, by their self-information under a causal language
model (Li et al. 2023, arXiv 2304.12102). As in LLMLingua's iterative compression (Jiang et al.
2023, arXiv 2310.05736), the text is gone through in segments: a segment is scored behind what was
kept of those before it, and each has its share of the budget.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Literal

from backends.kv.cached import CachedContext
from backends.kv.size import RivalOptions
from harness.api import PROMPT
from harness.errors import NotReady, UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gist.models.model import LanguageModel

SEGMENT_TOKENS = 200  # of the scorer, as in LLMLingua
WORD = re.compile(r"\s*\S{1,20}")  # with the space before it; text without spaces in pieces


@dataclass
class SelectiveContext(RivalOptions):
    """The words of the context with the most self-information.

    Args:
        tokens: context tokens kept, at most: words are kept whole.
        ratio: context tokens per token kept, instead of `tokens`; 16, as in gist, if neither is
            given.
        scorer: `own` scores with the tested model, `smollm2` with a small one that is loaded too.
    """

    scorer: Literal["own", "smollm2"] = "own"
    _scorer: "LanguageModel" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse a size that keeps nothing, and load the scorer."""
        super().__post_init__()
        self._scorer = self.model
        if self.scorer != "own":
            from gist.models.loading import load_model

            try:
                self._scorer = load_model(self.scorer, PROMPT, device=self.model.device)
            except UserError as missing:
                raise NotReady(str(missing)) from missing

    def prepare(self, context: str) -> CachedContext:
        """Choose the words, and read them."""
        from gist.decode import read

        encode = self.model.tokenizer.encode
        ids = encode(context)
        budget = self.entries_for(len(ids))
        shown: tuple[str, ...] = ()
        if budget < len(ids):
            words = [found.group() for found in WORD.finditer(context)]
            kept = sorted(self._chosen(words, budget))
            while len(ids := encode("".join(words[i] for i in kept).strip())) > budget:
                kept.pop()  # apart, its words had fewer tokens
            shown = tuple(_runs(words, kept))
        state = read(self.model, [*self.model.prompt.before, *ids])
        return CachedContext(self.model, state, context_entries=len(ids), evidence=shown)

    def describe(self) -> dict[str, Any]:
        """Return the fingerprint of a scorer that is not the tested model."""
        return {} if self.scorer == "own" else {"scorer": self._scorer.fingerprint}

    def _chosen(self, words: list[str], budget: int) -> Iterator[int]:
        """Yield the words that are kept, segment by segment."""
        lm = self._scorer
        costs = [len(self.model.tokenizer.encode(word)) for word in words]
        ids = [lm.tokenizer.encode(word) for word in words]
        read = list(lm.prompt.before[:1])  # a text begins so, whatever the prompt says
        used, first = 0, 0
        for end in _segment_ends([len(each) for each in ids]):
            flat = [token for each in ids[first:end] for token in each]
            edges = list(accumulate((len(each) for each in ids[first:end]), initial=0))
            of_tokens = self_information(lm, read, flat)
            value = [float(of_tokens[a:b].sum()) for a, b in pairwise(edges)]
            left = budget * sum(costs[:end]) // sum(costs) - used
            kept: list[int] = []
            for word in sorted(range(first, end), key=lambda i: (-value[i - first], i)):
                if costs[word] <= left:
                    kept.append(word)
                    left -= costs[word]
                    used += costs[word]
            yield from kept
            read += [token for word in sorted(kept) for token in ids[word]]
            first = end


def self_information(lm: "LanguageModel", before: Sequence[int], ids: Sequence[int]) -> "Tensor":
    """Return -log p of each of `ids` behind `before` and those in front of it, in nats.

    There is at least one id in both.

    Returns:
        float32 (ids,), on the CPU.

    Raises:
        ContextTooLong: more positions than the model has.
        OutOfMemory: more memory than there is, foreseen.
    """
    import torch

    tokens = len(before) + len(ids)
    lm.reserve(tokens, entries=tokens, new_tokens=tokens, batch=1)
    row = lm.ids([[*before, *ids]])
    with torch.inference_mode():
        logits = lm.model(row, use_cache=False, logits_to_keep=len(ids) + 1).logits[0, :-1]
        targets = row[0, -len(ids) :]
        return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none").cpu()


def _segment_ends(sizes: list[int]) -> list[int]:
    """Return where segments of about SEGMENT_TOKENS end, in words."""
    ends, tokens = [], 0
    for number, size in enumerate(sizes, start=1):
        tokens += size
        if tokens >= SEGMENT_TOKENS or number == len(sizes):
            ends.append(number)
            tokens = 0
    return ends


def _runs(words: list[str], kept: list[int]) -> Iterator[str]:
    """Yield the kept words that stand beside each other, as they stand in the text."""
    run = ""
    for number, word in enumerate(kept):
        run += words[word]
        if kept[number + 1 : number + 2] != [word + 1]:
            yield run.strip()
            run = ""
