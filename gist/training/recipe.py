"""Train a gist adapter for any model: prepare, train, evaluate, save."""

import gc
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median_high
from typing import Any

import torch
from peft import (
    PeftModel,
    get_peft_model_state_dict,
    load_peft_weights,
    set_peft_model_state_dict,
)

from gist.adapter import added, is_first, load, save, store_as
from gist.checkpoint import (
    CARD,
    AdapterCard,
    adapter_folder,
    read_card,
    read_contexts,
    write_card,
    write_contexts,
)
from gist.collator import Example
from gist.forward import Forward, forward_for
from gist.models.model import LanguageModel
from gist.models.nf4 import prepare_for_training
from gist.pictures import gist_attention, training_mask
from gist.training.callbacks import CURVE, LOG, EvaluationCallback, log
from gist.training.checkpointing import checkpointed
from gist.training.checks import (
    check_mask,
    check_sharding,
    check_start,
    check_trainable,
    claim_folder,
)
from gist.training.configuration import Stage, TrainingConfiguration
from gist.training.curriculum import Batches, Curriculum
from gist.training.forecast import forecast
from gist.training.fused import fused
from gist.training.heldout import BASELINES, USED, held_out, table, verdict
from gist.training.stages import (
    Feed,
    Item,
    check_contexts,
    held_back,
    make_stages,
    trained_contexts,
)
from gist.training.step import TrainingStep
from gist.training.train import Run, train

PACKAGES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class _Training:
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
        return self.batches.curriculum.stages


def train_adapter(
    lm: LanguageModel,
    feeds: Mapping[str, Feed],
    configuration: TrainingConfiguration,
    *,
    output: Path,
    resume: bool,
    data: Mapping[str, Any],
) -> Path:
    """Train a gist adapter and return its folder, `output/adapter`.

    Args:
        lm: the base model; it is left as it was found.
        feeds: by name, contexts with questions and answers.
        configuration: all options.
        output: folder of checkpoints, log and held-out curve.
        resume: go on from the newest checkpoint; a training that has ended is left as it is.
        data: what the record should say of the data.

    Raises:
        UserError: a model without trained weights, stages that never compress and never read
            in full either, or a folder that another training has begun.
    """
    training = _prepare(lm, feeds, configuration, output, data, resume=resume)
    folder = output / "adapter"
    stages = training.record["stages"]
    if resume and (folder / CARD).is_file() and read_card(folder).training.get("stages") == stages:
        log.info("the training in %s has ended; nothing is left to do", output)
        return folder
    options = configuration.adapter
    plan, seed = configuration.layout.plan, configuration.seed
    try:
        with added(
            lm.model, plan, options.lora, seed=seed, embeddings=options.embeddings
        ) as adapted:
            evaluation = _train(training, adapted, resume=resume)
            results = _evaluate(training, adapted, evaluation)
            save(adapted, folder)
    finally:
        gc.collect()
        torch.cuda.empty_cache()  # does nothing where CUDA was never used
    if not is_first():
        return folder
    store_as(folder, configuration.saving.adapter_dtype)
    for name in (LOG, CURVE):
        if (output / name).is_file():
            shutil.copy(output / name, folder / name)
    _seal(training, folder, results)
    return folder


def _prepare(
    lm: LanguageModel,
    feeds: Mapping[str, Feed],
    configuration: TrainingConfiguration,
    output: Path,
    data: Mapping[str, Any],
    *,
    resume: bool,
) -> _Training:
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
    return _Training(lm, configuration, batches, forward, examples, output, record, contexts)


def _train(training: _Training, adapted: PeftModel, *, resume: bool) -> EvaluationCallback | None:
    """Train the adapter on the model, and return what has scored it on the way."""
    configuration, batches = training.configuration, training.batches
    prepare_for_training(adapted)
    if configuration.init_adapter:
        start = load_peft_weights(str(adapter_folder(Path(configuration.init_adapter))))
        fresh = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        # An adapter of means has no gist tokens: those stay fresh.
        set_peft_model_state_dict(adapted, {**fresh, **start})
    check_mask(adapted, training.forward, _compressed_batch(batches))
    last = _first_batch(batches, training.stages[-1])
    curriculum, collator = batches.curriculum, training.forward.collator
    log.info("%s", forecast(training.lm, configuration, curriculum, collator, last))
    evaluation = _evaluation(training, adapted)
    run = Run(
        training.output,
        configuration.seed,
        resume,
        configuration.optimiser,
        configuration.saving,
        callbacks=[evaluation] if evaluation else [],
        seal=lambda folder: _seal(training, folder, {}),
    )
    checkpointing = configuration.optimiser.gradient_checkpointing
    step = TrainingStep(training.forward, configuration.losses)
    with checkpointed(adapted) if checkpointing else fused(adapted, training.lm.model.device):
        train(adapted, batches, step, run)
    return evaluation


def _evaluate(
    training: _Training, adapted: PeftModel, evaluation: EvaluationCallback | None
) -> dict[str, Any]:
    """Put the best adapter on; return curve, table over gists and context tokens, and verdict."""
    best, results = training.output / "best", {}
    last = (evaluation.last or evaluation.score(adapted)) if evaluation else {}
    if best.is_dir():
        load(adapted, best)
    if evaluation:
        ratios = sorted({ratio for stage in training.stages for ratio in stage.ratios})
        tokens = sorted({count for stage in training.stages for count in stage.tokens})
        rows = table(adapted, evaluation.held, ratios=ratios, tokens=tokens)
        unused = verdict(last) if training.stages[-1].compresses else None
        if unused:
            log.warning("%s", unused)
        results = {"curve": evaluation.curve, "table": rows, "verdict": unused or USED}
    _draw(training)
    return results


def _seal(training: _Training, folder: Path, results: Mapping[str, Any]) -> None:
    """Make a folder written by PEFT a usable adapter; the adapter card is written last."""
    lm, stages = training.lm, training.stages
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    path = folder / "adapter_config.json"  # has the base's folder on the machine that trained
    config = json.loads(path.read_text()) | {"base_model_name_or_path": lm.name}
    path.write_text(json.dumps(config, indent=2) + "\n")
    about = {
        **training.record,
        "steps": training.batches.curriculum.progress.step,
        "dtype": str(lm.model.dtype).removeprefix("torch."),
        "versions": {name: version(name) for name in PACKAGES},
        **results,
    }
    ratios = tuple(sorted({ratio for stage in stages for ratio in stage.ratios}))
    plan = training.configuration.layout.plan
    write_contexts(folder, training.contexts)
    made_for = (lm.name, lm.fingerprint, lm.prompt_hash)
    write_card(folder, AdapterCard(plan, *made_for, ratios, about, lm.prompt.shots))


def _examples(batches: Batches, held: Sequence[Item], stage: Stage) -> list[Example]:
    rng = random.Random(0)
    examples = []
    for context, pairs in held:
        ids = tuple(batches.tokenizer.encode(context))
        if stage.max_context_tokens is None or len(ids) <= stage.max_context_tokens:
            examples.append(batches.example(ids, pairs, 0, stage, rng))
    return examples


def _first_batch(batches: Batches, stage: Stage) -> list[Example]:
    return batches.batch(batches.curriculum.draw(0, stage), stage, random.Random(0))


def _compressed_batch(batches: Batches) -> list[Example]:
    """Return a batch of the first stage that has gists, read in one; nothing if none has."""
    stages = [stage for stage in batches.curriculum.stages if stage.compresses]
    if not stages:
        return []
    return _first_batch(batches, replace(stages[0], plain=0.0, window_tokens=(), twice=0.0))


def _evaluation(training: _Training, adapted: PeftModel) -> EvaluationCallback | None:
    """Return what scores held-out contexts at the middle of the last stage's compressions."""
    if len(training.held) < 2:
        log.warning("too few contexts to hold any back: there will be no held-out score")
        return None
    stage, options = training.stages[-1], training.configuration.evaluation
    held = held_out(training.held, training.forward, batch_tokens=stage.batch_tokens)
    return EvaluationCallback(
        held,
        {way: held.ask(adapted, way) for way in BASELINES},
        ratio=median_high(stage.ratios) if stage.ratios else None,
        tokens=median_high(stage.tokens) if stage.tokens else None,
        output=training.output,
        options=options,
    )


def _draw(training: _Training) -> None:
    """Draw the mask of training and what the gists of one context attend to."""
    examples, collator = _compressed_batch(training.batches), training.forward.collator
    if not examples or collator.plan.pools:
        return  # two passes have no such mask, and means attend to nothing
    example, output = examples[0], training.output
    training_mask(output / "mask.png", collator, example)
    training.lm.model.eval()
    place, plan = output / "attention.png", collator.plan
    gist_attention(place, training.lm, example.context, gists=example.gists, plan=plan)
