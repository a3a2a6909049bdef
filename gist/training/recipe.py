"""Train a gist adapter for any model: prepare, train, evaluate, save."""

import gc
import json
import logging
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

from gist.adapter import added, is_first, load, save, store_as
from gist.checkpoint import CARD, AdapterCard, adapter_folder, read_card, write_card, write_contexts
from gist.models.model import LanguageModel
from gist.models.nf4 import prepare_for_training
from gist.pictures import gist_attention, training_mask
from gist.training.checkpointing import checkpointed
from gist.training.checks import BEST, check_mask
from gist.training.configuration import TrainingConfiguration
from gist.training.evaluation import EvaluationCallback, evaluation_of
from gist.training.forecast import forecast
from gist.training.fused import fused
from gist.training.logfiles import CURVE, LOG
from gist.training.preparation import Training, prepare
from gist.training.stages import Feed
from gist.training.step import TrainingStep
from gist.training.train import Run, train

PACKAGES = ("torch", "transformers", "peft")
log = logging.getLogger(__name__)


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
    training = prepare(lm, feeds, configuration, output, data, resume=resume)
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


def _train(training: Training, adapted: PeftModel, *, resume: bool) -> EvaluationCallback | None:
    """Train the adapter on the model, and return what has scored it on the way."""
    configuration, batches = training.configuration, training.batches
    prepare_for_training(adapted)
    if configuration.init_adapter:
        start = load_peft_weights(str(adapter_folder(Path(configuration.init_adapter))))
        fresh = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        # An adapter of means has no gist tokens: those stay fresh.
        set_peft_model_state_dict(adapted, {**fresh, **start})
    check_mask(adapted, training.forward, training.compressed_batch())
    last = training.first_batch(training.stages[-1])
    curriculum, collator = batches.curriculum, training.forward.collator
    log.info("%s", forecast(training.lm, configuration, curriculum, collator, last))
    evaluation = evaluation_of(training, adapted)
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
    training: Training, adapted: PeftModel, evaluation: EvaluationCallback | None
) -> dict[str, Any]:
    """Put the best adapter on; return curve, table over gists and context tokens, and verdict."""
    if evaluation and not evaluation.last:
        evaluation.score(adapted)
    best = training.output / BEST
    if best.is_dir():
        load(adapted, best)
    results = evaluation.results(adapted, training.stages) if evaluation else {}
    _draw(training)
    return results


def _seal(training: Training, folder: Path, results: Mapping[str, Any]) -> None:
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


def _draw(training: Training) -> None:
    """Draw the mask of training and what the gists of one context attend to."""
    examples, collator = training.compressed_batch(), training.forward.collator
    if not examples or collator.plan.pools:
        return  # two passes have no such mask, and means attend to nothing
    example, output = examples[0], training.output
    training_mask(output / "mask.png", collator, example)
    training.lm.model.eval()
    place, plan = output / "attention.png", collator.plan
    gist_attention(place, training.lm, example.context, gists=example.gists, plan=plan)
