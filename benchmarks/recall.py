"""Associative recall, the smallest task of reading: pairs of a name and a value, asked by name.

    Tavo <gap filler words> amber vase. Milor <gap filler words> Branford.   Tavo? -> amber vase

It is where a model learns to bind a value to a name: one token to one token first, then longer
ones, then a few words apart (multi-query associative recall, arXiv 2312.04927). Part of the
curriculum of the reference model, and a suite like any other:
`--suite benchmarks.recall:Recall,pairs=8`.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

from benchmarks.generate import lexicon
from benchmarks.generate.lexicon import Split
from benchmarks.generate.relations import CLUB, RELATIONS
from benchmarks.scoring.answers import exact_match
from harness.api import Question, Sample, Tokenizer

WORDS = (
    *lexicon.NAME_HEADS,
    *lexicon.PLACE_HEADS,
    *lexicon.MATERIALS,
    *lexicon.CRAFTS,
    *lexicon.COLOURS,
    *lexicon.THINGS,
    *lexicon.ADJECTIVES,
    *lexicon.ANIMALS,
    *lexicon.SEASONS,
    *lexicon.CONTESTS,
    *"0123456789",
)


@dataclass(frozen=True)
class Recall:
    """Pairs of names and values with filler words between them."""

    split: Split = "test"
    pairs: int = 4
    gap: int = 0  # words between name and value
    single: bool = False  # most names and values are of one part instead of two
    documents: int | None = 20  # none: endless

    metrics: ClassVar[tuple[str, ...]] = ("exact_match",)
    slice_names: ClassVar[tuple[str, ...]] = ("kind",)

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:  # noqa: ARG002
        """Yield one list of pairs at a time, asked for every name in it."""
        for i in count() if self.documents is None else range(self.documents):
            sample_id = f"recall-{i}"
            rng = random.Random(f"{seed}/{sample_id}")
            yield self._sample(rng, sample_id)

    def _sample(self, rng: random.Random, sample_id: str) -> Sample:
        values: dict[str, str] = {}
        while len(values) < self.pairs:
            name, value = self._pair(rng)
            values[name] = value
        lines = [" ".join((name, *self._gap(rng), value)) for name, value in values.items()]
        questions = tuple(
            Question(f"q{i}", name, (value,), {"kind": "recall"}, (f"{line}.",))
            for i, ((name, value), line) in enumerate(zip(values.items(), lines, strict=True))
        )
        return Sample(sample_id, ". ".join(lines) + ".", questions, max_new_tokens=16)

    def _pair(self, rng: random.Random) -> tuple[str, str]:
        name = lexicon.person(rng, self.split)
        value = rng.choice((*RELATIONS, CLUB)).draw(rng, self.split)
        if self.single:
            name = rng.choice((name, rng.choice(lexicon.NAME_HEADS)))
            value = rng.choice((value, *[rng.choice(WORDS)] * 3))
        return name, value

    def _gap(self, rng: random.Random) -> list[str]:
        words = lexicon.filler_sentence(rng, self.split).lower().rstrip(".").split()
        return rng.choices(words, k=self.gap)

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:  # noqa: ARG002
        """Return whether the answer is the value, by SQuAD's normalisation."""
        return {"exact_match": exact_match(answer, question.targets)}
