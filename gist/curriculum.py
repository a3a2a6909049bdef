"""What is trained on, in stages: each goes on until it is passed or its steps are used up.

Batches are pure functions of (seed, step, stage): a run that was stopped goes on from three
small numbers, and no generator has to be wound forward.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch.utils.data import IterableDataset

from gist.collator import Example
from gist.prompt import TextTokenizer

Item = tuple[str, Sequence[tuple[str, str]]]
"""A context and its (question, answer) pairs, as text."""
Source = Callable[[int], Iterator[Item]]
"""Gives an endless, or long, stream of items for a seed."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a curriculum."""

    name: str
    sources: Mapping[str, float]  # name of a source: its share of the batches
    max_steps: int
    pass_at: float = 2.0  # share of answers right on fresh batches of every source; 2: never
    batch_tokens: int = 8192
    questions: int = 12  # per context
    ratios: tuple[float, ...] = ()  # context tokens per gist, drawn per batch; none: no gists
    bare: tuple[str, ...] = ()  # sources whose answers continue the questions directly
    lr: tuple[float, float] = (1.0, 1.0)  # factor of the learning rate at the start and end

    def __post_init__(self) -> None:
        """Refuse a stage that has nothing to draw from."""
        if not self.sources or self.max_steps < 1:
            raise ValueError(f"stage {self.name!r} needs sources and at least one step")


@dataclass
class Progress:
    """Where a curriculum stands; saved in every checkpoint."""

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    right: dict[str, float] = field(default_factory=dict)  # moving share of right answers

    def state(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


SMOOTHING = 0.9


@dataclass
class Curriculum:
    """Stages, the sources they name, and how far training has come."""

    stages: Sequence[Stage]
    sources: Mapping[str, Source]
    seed: int
    progress: Progress = field(default_factory=Progress)

    @property
    def max_steps(self) -> int:
        """Steps if no stage is passed early."""
        return sum(stage.max_steps for stage in self.stages)

    @property
    def names(self) -> list[str]:
        """The names of all sources, in a fixed order."""
        return list(self.sources)

    @property
    def stage(self) -> Stage:
        """The stage that the next batch belongs to."""
        return self.stages[min(self.progress.stage, len(self.stages) - 1)]

    @property
    def done(self) -> bool:
        """Whether every stage has ended."""
        return self.progress.stage >= len(self.stages)

    def lr_factor(self) -> float:
        """Return the factor of the learning rate at this step."""
        start, end = self.stage.lr
        return start + (end - start) * min(1.0, self.progress.stage_step / self.stage.max_steps)

    def draw(self, step: int) -> tuple[str, Iterator[Item], float | None]:
        """Return (source name, items, ratio) for the batch of a step."""
        rng = random.Random(f"{self.seed}/{self.stage.name}/{step}")
        names = list(self.stage.sources)
        name = rng.choices(names, weights=[self.stage.sources[n] for n in names])[0]
        ratio = rng.choice(self.stage.ratios) if self.stage.ratios else None
        return name, self.sources[name](rng.getrandbits(31)), ratio

    def count(self, source: str, right: float) -> None:
        """Note a step's share of right answers, and go on to the next stage when it is time."""
        progress = self.progress
        old = progress.right.get(source, right)
        progress.right[source] = SMOOTHING * old + (1 - SMOOTHING) * right
        progress.step += 1
        progress.stage_step += 1
        seen = [progress.right.get(name, 0.0) for name in self.stage.sources]
        if min(seen) >= self.stage.pass_at or progress.stage_step >= self.stage.max_steps:
            progress.stage += 1
            progress.stage_step = 0
            progress.right = {}


@dataclass
class Batches(IterableDataset[tuple[str, list[Example]]]):
    """The batches of a curriculum, each within its stage's budget of tokens.

    Args:
        curriculum: read at every batch, so that stages change while training runs.
        tokenizer: turns texts into ids.
        end_id: the token that ends an answer.
        overhead: tokens per question besides the question and answer themselves.
    """

    curriculum: Curriculum
    tokenizer: TextTokenizer
    end_id: int
    overhead: int

    def __iter__(self) -> Iterator[tuple[str, list[Example]]]:
        """Yield (source name, examples)."""
        step = self.curriculum.progress.step
        while True:
            name, items, ratio = self.curriculum.draw(step)
            bare = name in self.curriculum.stage.bare
            yield name, self._batch(items, ratio, random.Random(step), bare=bare)
            step += 1

    def _batch(
        self, items: Iterator[Item], ratio: float | None, rng: random.Random, *, bare: bool
    ) -> list[Example]:
        stage = self.curriculum.stage
        batch: list[Example] = []
        widest = 0
        for item in items:
            example = replace(self._encode(item, ratio, rng, questions=stage.questions), bare=bare)
            width = len(example.context) + example.gists
            overhead = 0 if bare else self.overhead
            width += sum(len(q) + len(a) + overhead for q, a in example.questions)
            widest = max(widest, width)
            if batch and widest * (len(batch) + 1) > stage.batch_tokens:
                return batch
            batch.append(example)
        assert batch, "a source gave no items"
        return batch

    def _encode(
        self, item: Item, ratio: float | None, rng: random.Random, *, questions: int
    ) -> Example:
        context, pairs = item
        encode = self.tokenizer.encode
        ids = tuple(encode(context))
        asked = rng.sample(list(pairs), min(questions, len(pairs)))
        gists = 0 if ratio is None else max(1, round(len(ids) / ratio))
        return Example(
            ids,
            tuple((tuple(encode(q)), (*encode(a), self.end_id)) for q, a in asked),
            gists,
        )
