"""What is trained on, in stages: each goes on until it is passed or its steps are used up.

Batches are pure functions of (seed, number, stage): a run that was stopped goes on from a few
small numbers, and no generator has to be wound forward.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from torch.utils.data import IterableDataset

from gist.collator import Example
from gist.compress import gists_for
from gist.layout import GistPlan
from gist.models.prompt import TextTokenizer
from gist.training.curriculum_options import Stage
from gist.training.stages import Item, Source
from gist.training.windowed import cut_windows, in_windows
from harness.errors import UserError

CUE_TOKENS, HIDDEN_TOKENS = 6, 24  # of a snippet: what is given, and what is reconstructed
SMOOTHING = 0.9  # of the moving share of right answers
PASSED_OVER = 1000  # contexts too long for a stage, in a row, before it is given up


@dataclass(frozen=True, slots=True)
class Draw:
    """What one batch is made of."""

    source: str
    items: Iterator[Item]
    ratio: float | None = None
    tokens: int | None = None
    window_tokens: int = 0  # 0: contexts are read in one
    twice: bool = False  # gists of windows are read by gists

    def gists(self, context_tokens: int, stage: Stage, rng: random.Random) -> int:
        """Return how many gists a context is given; 0 in a batch that is not compressed."""
        if self.ratio is None and self.tokens is None:
            return 0
        ratio = rng.choice(stage.ratios) if stage.mixed and stage.ratios else self.ratio
        tokens = rng.choice(stage.tokens) if stage.mixed and stage.tokens else self.tokens
        return gists_for(context_tokens, tokens=tokens, ratio=ratio)


@dataclass
class Progress:
    """Where a curriculum stands; saved in every checkpoint."""

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    stage_before: int = 0  # the stage one step ago: the next batch was drawn from it
    right: dict[str, float] = field(default_factory=dict)  # moving share of right answers
    passed: bool = False  # how the stage before ended: by its answers, or by its steps


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
        """The stage that training is in."""
        return self.stages[min(self.progress.stage, len(self.stages) - 1)]

    @property
    def done(self) -> bool:
        """Whether every stage has ended."""
        return self.progress.stage >= len(self.stages)

    def lr_factor(self) -> float:
        """Return the factor of the learning rate at this step."""
        start, end = self.stage.lr
        return start + (end - start) * min(1.0, self.progress.stage_step / self.stage.max_steps)

    def draw(self, number: int, stage: Stage) -> Draw:
        """Return what the batch of a number is made of."""
        rng = random.Random(f"{self.seed}/{stage.name}/{number}")
        names = list(stage.sources)
        name = rng.choices(names, weights=[stage.sources[n] for n in names])[0]
        ratio = rng.choice(stage.ratios) if stage.ratios else None
        items = self.sources[name](rng.getrandbits(31))
        tokens = rng.choice(stage.tokens) if stage.tokens else None
        if stage.plain and rng.random() < stage.plain:
            return Draw(name, items)
        if not stage.window_tokens:
            return Draw(name, items, ratio, tokens)
        window_tokens = rng.choice(stage.window_tokens)
        twice = window_tokens > 0 and rng.random() < stage.twice
        return Draw(name, items, ratio, tokens, window_tokens, twice)

    def note(self, source: str, right: float) -> None:
        """Note the share of a batch's answers that were right."""
        old = self.progress.right.get(source, right)
        self.progress.right[source] = SMOOTHING * old + (1 - SMOOTHING) * right

    def advance(self) -> None:
        """Count a step, and go on to the next stage when it is time."""
        progress = self.progress
        progress.stage_before = progress.stage
        progress.step += 1
        progress.stage_step += 1
        seen = [progress.right.get(name, 0.0) for name in self.stage.sources]
        if min(seen) >= self.stage.pass_at or progress.stage_step >= self.stage.max_steps:
            self._end_stage(passed=min(seen) >= self.stage.pass_at)

    def resume(self, progress: Progress) -> None:
        """Go on from where a training stood; its stages may have got more steps, or fewer."""
        self.progress = progress
        last = len(self.stages) - 1
        if self.done and not progress.passed and progress.stage_step < self.stages[last].max_steps:
            progress.stage = last
        elif not self.done and progress.stage_step >= self.stage.max_steps:
            self._end_stage(passed=False)

    def _end_stage(self, *, passed: bool) -> None:
        progress = self.progress
        progress.stage += 1
        progress.passed = passed
        if not self.done:  # after the last, more steps may be asked for
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
        plan: of the adapter, which limits the gists of a window.
        per_step: batches of an optimizer step, over accumulation and processes.
        ahead: batches that the loader draws before the step in front of them has ended.
    """

    curriculum: Curriculum
    tokenizer: TextTokenizer
    end_id: int
    overhead: int
    plan: GistPlan
    per_step: int = 1
    ahead: int = 1

    def __iter__(self) -> Iterator[tuple[str, list[Example]]]:
        """Yield (source name, examples)."""
        curriculum = self.curriculum
        first = curriculum.progress.step * self.per_step
        number = first
        while True:
            stage = curriculum.stage
            if number < first + self.ahead:  # as an uninterrupted run had drawn it
                stage = curriculum.stages[curriculum.progress.stage_before]
            drawn = curriculum.draw(number, stage)
            yield drawn.source, self.batch(drawn, stage, random.Random(number))
            number += 1

    def batch(self, drawn: Draw, stage: Stage, rng: random.Random) -> list[Example]:
        """Return as many examples as the stage's budget of tokens holds, at least one."""
        batch: list[Example] = []
        widest = passed_over = 0
        bare = drawn.source in stage.bare
        for item in drawn.items:
            windows: list[tuple[int, ...]] = []
            if drawn.window_tokens and not bare:
                windows = cut_windows(item[0], drawn.window_tokens, self.tokenizer.encode)
            ids = tuple(chain(*windows)) if windows else tuple(self.tokenizer.encode(item[0]))
            if stage.max_context_tokens and len(ids) > stage.max_context_tokens:
                passed_over += 1
                if passed_over == PASSED_OVER and not batch:
                    break
                continue
            example = self.example(
                ids, item[1], drawn.gists(len(ids), stage, rng), stage, rng, bare=bare
            )
            if windows:
                example = in_windows(example, windows, self.plan, twice=drawn.twice)
            width = len(example.context) + example.gists
            overhead = 0 if bare else self.overhead
            width += sum(len(q) + len(a) + overhead for q, a in example.questions)
            width += sum(len(cue) + len(hidden) for cue, hidden in example.snippets)
            widest = max(widest, width)
            if batch and widest * (len(batch) + 1) > stage.batch_tokens:
                return batch
            batch.append(example)
        if not batch:
            raise UserError(
                f"{drawn.source} has no context of at most {stage.max_context_tokens} tokens, "
                f"which stage {stage.name!r} asks for. Raise max_context_tokens."
            )
        return batch

    def example(
        self,
        ids: tuple[int, ...],
        pairs: Sequence[tuple[str, str]],
        gists: int,
        stage: Stage,
        rng: random.Random,
        *,
        bare: bool = False,
    ) -> Example:
        """Return a context of `ids` with at most the stage's number of questions."""
        encode = self.tokenizer.encode
        if gists > len(ids):
            raise UserError(
                f"{gists} gists for a context of {len(ids)} tokens compress nothing. "
                "Give fewer tokens, or ratios."
            )
        asked = rng.sample(list(pairs), min(stage.questions, len(pairs)))
        snippets = []
        for _ in range(stage.snippets if gists else 0):
            start = rng.randrange(max(1, len(ids) - CUE_TOKENS - HIDDEN_TOKENS))
            cue = ids[start : start + CUE_TOKENS]
            hidden = ids[start + CUE_TOKENS : start + CUE_TOKENS + HIDDEN_TOKENS]
            if hidden:
                snippets.append((cue, hidden))
        return Example(
            ids,
            tuple((tuple(encode(q)), (*encode(a), self.end_id)) for q, a in asked),
            gists,
            bare,
            tuple(snippets),
        )
