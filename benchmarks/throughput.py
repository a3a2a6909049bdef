"""throughput: how fast contexts are read and answers written, over a sweep of sizes.

Every context is asked for one new token and for many: the first request gives the time to the
first token, the difference of the two the decode tokens per second, and prepare and answer
together the end-to-end rate. Scores nothing; the text is filler, since only its size matters.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from benchmarks.generate.filler import FillerWriter
from harness.api import Question, Sample, Tokenizer


@dataclass(frozen=True)
class Throughput:
    """Filler contexts of growing size, each asked for one new token and for many.

    Args:
        tokens: context sizes in tokens of the tested model, never exceeded.
        new_tokens: tokens of the long answer, at least 2.
        repeats: how often each size is measured; each time the text is another one.
    """

    metrics: ClassVar[tuple[str, ...]] = ()
    slice_names: ClassVar[tuple[str, ...]] = ("tokens",)

    tokens: tuple[int, ...] = (512, 1024, 2048)
    new_tokens: int = 32
    repeats: int = 3

    def __post_init__(self) -> None:
        """Refuse sweeps without a step."""
        if not self.tokens or min(self.tokens) < 1:
            raise ValueError("tokens must be numbers of at least 1")
        if self.new_tokens < 2:
            raise ValueError(f"new_tokens={self.new_tokens} must be at least 2")
        if self.repeats < 1:
            raise ValueError(f"repeats={self.repeats} must be at least 1")

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield the sizes in rising order, `repeats` times; both requests share the text."""
        writer = FillerWriter(tokenizer, "test")
        for index, tokens in product(range(self.repeats), sorted(set(self.tokens))):
            rng = random.Random(f"{seed}/{tokens}/{index}")
            context = writer.write(rng, tokens)
            for new_tokens in (1, self.new_tokens):
                yield Sample(
                    id=f"{tokens}/{index}/{new_tokens}",
                    context=context,
                    questions=(Question("q0", "What is the text about?", ()),),
                    max_new_tokens=new_tokens,
                    min_new_tokens=new_tokens,
                    slices={"tokens": str(tokens)},
                )

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:  # noqa: ARG002
        """Return nothing: this suite shows costs."""
        return {}
