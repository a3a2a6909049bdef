"""vram: how much memory a context takes, over a sweep of sizes and of contexts held at once.

Scores nothing: the runner records the peaks and the exact bytes held, and stops a sweep at the
first size that does not fit. The text is filler, since only its size matters.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from benchmarks.generate.filler import FillerWriter
from harness.api import Question, Sample, Tokenizer

NEW_TOKENS = 16  # enough to see what answering adds to what is held


@dataclass(frozen=True)
class Vram:
    """Filler contexts of growing size, to see what fits.

    Args:
        tokens: context sizes in tokens of the tested model, never exceeded.
        contexts: how many contexts are prepared and kept at once.
    """

    metrics: ClassVar[tuple[str, ...]] = ()
    slice_names: ClassVar[tuple[str, ...]] = ("tokens",)

    tokens: tuple[int, ...] = (512, 1024, 2048)
    contexts: tuple[int, ...] = (1, 4)

    def __post_init__(self) -> None:
        """Refuse sweeps without a step."""
        for name, values in (("tokens", self.tokens), ("contexts", self.contexts)):
            if not values or min(values) < 1:
                raise ValueError(f"{name} must be numbers of at least 1")

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield the sizes in rising order for each number of contexts held."""
        writer = FillerWriter(tokenizer, "test")
        sweep = product(sorted(set(self.contexts)), sorted(set(self.tokens)))
        for contexts_held, tokens in sweep:
            sample_id = f"{contexts_held}x{tokens}"
            yield Sample(
                id=sample_id,
                context=writer.write(random.Random(f"{seed}/{sample_id}"), tokens),
                questions=(Question("q0", "What is the text about?", ()),),
                max_new_tokens=NEW_TOKENS,
                min_new_tokens=NEW_TOKENS,
                slices={"tokens": str(tokens)},
                contexts_held=contexts_held,
            )

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:  # noqa: ARG002
        """Return nothing: this suite shows costs."""
        return {}
