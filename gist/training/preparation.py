"""What a training is made of, put together and looked at before anything is trained."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gist.checkpoint import read_contexts
from gist.collator import Example
from gist.forward import Forward, forward_for
from gist.models.model import LanguageModel
from gist.training.checks import check_sharding, check_start, check_trainable, claim_folder
from gist.training.configuration import TrainingConfiguration
from gist.training.curriculum import Batches, Curriculum
from gist.training.curriculum_options import Stage
from gist.training.stages import (
    Feed,
    Item,
    check_contexts,
    held_back,
    make_stages,
    trained_contexts,
)


@dataclass(frozen=True, slots=True)
class Training:
    """A training that may begin: nothing about it was refused."""

    lm: LanguageModel
    configuration: TrainingConfiguration
    batches: Batches
    forward: Forward
    held: Sequence[Example]
    output: Path
    record: Mapping[str, Any]
    contexts: frozenset[bytes]  # paragraphs that it is trained on

    @property
    def stages(self) -> Sequence[Stage]:
        """Of its curriculum."""
        return self.batches.curriculum.stages

    def first_batch(self, stage: Stage) -> list[Example]:
        """Return the batch that a stage would begin with."""
        batches = self.batches
        return batches.batch(batches.curriculum.draw(0, stage), stage, random.Random(0))

    def compressed_batch(self) -> list[Example]:
        """Return a batch of the first stage that has gists, read in one; nothing if none has."""
        stages = [stage for stage in self.stages if stage.compresses]
        if not stages:
            return []
        return self.first_batch(replace(stages[0], plain=0.0, window_tokens=(), twice=0.0))


def prepare(
    lm: LanguageModel,
    feeds: Mapping[str, Feed],
    configuration: TrainingConfiguration,
    output: Path,
    data: Mapping[str, Any],
    *,
    resume: bool,
) -> Training:
    """Check everything that can be checked before an adapter is made, and claim the folder."""
    stages = make_stages(configuration, feeds, lm.tokenizer)
    check_trainable(lm, stages, configuration.layout.plan)
    check_sharding(lm, configuration.layout.plan, stages)
    check_contexts(feeds, lm, stages)
    if configuration.init_adapter:
        check_start(Path(configuration.init_adapter), lm, configuration)
    record = {
        "base_fingerprint": lm.fingerprint,
        "prompt_hash": lm.prompt_hash,
        **data,
        "recipe": configuration.record(),
        "stages": json.loads(json.dumps([asdict(stage) for stage in stages])),
        "seed": configuration.seed,
    }
    claim_folder(output, record, resume=resume)
    sources = {name: feed.source for name, feed in feeds.items()}
    batches = Batches(
        Curriculum(stages, sources, configuration.seed),
        lm.tokenizer,
        end_id=lm.answer_end_id,
        overhead=len(lm.prompt.between) + len(lm.prompt.after),
        plan=configuration.layout.plan,
    )
    held = held_back(feeds, stages[-1], configuration.evaluation.eval_contexts)
    windows = any(stage.window_tokens for stage in stages)
    forward = forward_for(lm, configuration.layout.plan, windows=windows)
    examples = _examples(batches, held, stages[-1])
    contexts = trained_contexts(feeds, lm.tokenizer, stages)
    if configuration.init_adapter:
        contexts |= read_contexts(Path(configuration.init_adapter))
    return Training(lm, configuration, batches, forward, examples, output, record, contexts)


def _examples(batches: Batches, held: Sequence[Item], stage: Stage) -> list[Example]:
    rng = random.Random(0)
    examples = []
    for context, pairs in held:
        ids = tuple(batches.tokenizer.encode(context))
        if stage.max_context_tokens is None or len(ids) <= stage.max_context_tokens:
            examples.append(batches.example(ids, pairs, 0, stage, rng))
    return examples
