"""Train a gist adapter for any model, from its recipe to a checkpoint that says how it went."""

import gc
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, load_peft_weights, set_peft_model_state_dict
from transformers import TrainerCallback

from gist.adapter import ATTENTION, Embeddings, LoraOptions, added
from gist.checkpoint import Card, check_base, read_card, write_card
from gist.collator import Example, PackedCollator
from gist.curriculum import Batches, Curriculum, Item, Source, Stage
from gist.embedding import first_gist_id
from gist.errors import GistError
from gist.follow import Watch, log
from gist.forecast import forecast
from gist.heldout import BASELINES, held_out, table, verdict
from gist.layout import GistPlan, Placement, Positions
from gist.losses import LossWeights
from gist.model import LanguageModel
from gist.nf4 import prepare_for_training
from gist.pictures import gist_attention, training_mask
from gist.proofs import mask_blocks
from gist.train import Options, train
from gist.training_cost import Adapter

PACKAGES = ("torch", "transformers", "peft")
MOST_ROWS = 256  # gists behind the context: 16x at 4,096 tokens
GIST_TOKEN = "<GIST_"  # the name that gist tokens have in print


@dataclass(frozen=True, slots=True)
class AdapterRecipe:
    """Layout, adapter, losses and training of gists."""

    placement: Placement = "interleaved"
    positions: Positions = "spread"
    segment_tokens: int = 64
    rows: int | None = None  # most gists in a group; by default as many as a group can use
    keep_prefix: bool = True
    embeddings: Embeddings = "rows"
    rank: int = 64
    alpha: int = 128
    targets: Sequence[str] = ATTENTION
    answers: float = 1.0  # weights of the losses
    distillation: float = 0.0
    top_k: int = 20
    reconstruction: float = 0.0
    lr: float = 2e-4
    gist_lr: float = 1e-3
    warmup_steps: int = 50
    rows_first_steps: int = 0
    accumulation: int = 1
    bf16: bool = True
    gradient_checkpointing: bool = False
    save_steps: int = 200
    eval_steps: int = 200
    eval_contexts: int = 48
    patience: int | None = None  # held-out scores without a better one before training stops
    init_adapter: str | None = None  # folder of an adapter to go on from; by default a new one
    report_to: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be laid out or learnt from."""
        _ = self.weights
        if self.placement == "interleaved" and (self.rows or 0) > self.segment_tokens:
            raise ValueError(
                f"segments of {self.segment_tokens} tokens are shorter than {self.rows} gists. "
                "Give fewer rows, or longer segments."
            )
        for name in ("warmup_steps", "accumulation", "save_steps", "eval_steps", "rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")

    @property
    def plan(self) -> GistPlan:
        """Where the gists stand."""
        most = self.segment_tokens if self.placement == "interleaved" else MOST_ROWS
        rows = self.rows or min(most, MOST_ROWS)
        return GistPlan(rows, self.placement, self.positions, self.segment_tokens, self.keep_prefix)

    @property
    def weights(self) -> LossWeights:
        """The weights of the losses."""
        return LossWeights(self.answers, self.distillation, self.reconstruction, self.top_k)


def train_adapter(
    lm: LanguageModel,
    sources: Mapping[str, Source],
    recipe: AdapterRecipe,
    *,
    stages: Sequence[Stage],
    output: Path,
    seed: int,
    resume: bool,
    about: Mapping[str, Any],
    held: Sequence[Item] = (),
) -> Path:
    """Train a gist adapter and return its folder, `output/adapter`.

    Args:
        lm: the base model; it is left as it was found.
        sources: by name, contexts with questions and answers.
        recipe: layout, adapter and training.
        stages: the curriculum.
        output: folder of checkpoints, log and held-out curve.
        seed: decides gist rows, LoRA and batches.
        resume: go on from the newest checkpoint.
        about: what the checkpoint should say of the data.
        held: contexts that no source gives, to score the adapter on.

    Raises:
        GistError: a model without trained weights, stages that never compress and never read
            in full either, or a folder that another training has begun.
    """
    check_trainable(lm, stages)
    if recipe.init_adapter:
        _check_start(Path(recipe.init_adapter), lm, recipe)
    described = {
        "base_fingerprint": lm.fingerprint,
        "prompt_hash": lm.prompt_hash,
        **about,
        "recipe": asdict(recipe),
        "stages": [asdict(stage) for stage in stages],
        "seed": seed,
    }
    _check_same(output, described, resume=resume)
    end_id = lm.tokenizer.inner.eos_token_id or min(lm.end_ids)
    curriculum = Curriculum(stages, sources, seed)
    lora = LoraOptions(recipe.rank, recipe.alpha, tuple(recipe.targets))
    gist_id = first_gist_id(lm.model)
    collator = PackedCollator(lm.prompt, gist_id, recipe.plan)
    overhead = len(lm.prompt.between) + len(lm.prompt.after)
    batches = Batches(curriculum, lm.tokenizer, end_id, overhead)
    examples = _examples(batches, held, stages[-1])
    try:
        with added(lm.model, recipe.plan, lora, seed=seed, embeddings=recipe.embeddings) as adapted:
            prepare_for_training(adapted)
            if recipe.init_adapter:
                set_peft_model_state_dict(adapted, load_peft_weights(recipe.init_adapter))
            first, last = _first_examples(batches)
            _check_mask(adapted, collator, first)
            log.info(
                "%s",
                forecast(
                    lm,
                    Adapter(recipe.rank, recipe.targets, recipe.plan.rows, recipe.embeddings),
                    curriculum,
                    collator,
                    last,
                    weights=recipe.weights,
                    gradient_checkpointing=recipe.gradient_checkpointing,
                    bf16=recipe.bf16,
                ),
            )
            watch = _watch(adapted, examples, collator, recipe, stages[-1], output)
            callbacks: list[TrainerCallback] = [watch] if watch else []
            train(
                adapted,
                batches,
                collator,
                _options(recipe, output, seed, resume),
                callbacks=callbacks,
            )
            if (output / "best").is_dir():
                set_peft_model_state_dict(adapted, load_peft_weights(str(output / "best")))
            folder = output / "adapter"
            adapted.save_pretrained(str(folder))
            ending = _ending(adapted, watch, stages)
            _draw(lm, collator, first, output)
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    _name_base(folder / "adapter_config.json", lm.name)
    for name in ("log.csv", "heldout.csv"):
        if (output / name).is_file():
            shutil.copy(output / name, folder / name)
    training = {
        **described,
        "steps": curriculum.progress.step,
        "versions": {name: version(name) for name in PACKAGES},
        **ending,
    }
    ratios = tuple(sorted({ratio for stage in stages for ratio in stage.ratios}))
    write_card(
        folder,
        Card(recipe.plan, lm.name, lm.fingerprint, lm.prompt_hash, ratios, training),
    )
    return folder


def check_trainable(lm: LanguageModel, stages: Sequence[Stage]) -> None:
    """Refuse what no adapter can come out of.

    Raises:
        GistError: random weights, no gists in any stage, or a tokenizer with gist tokens already.
    """
    if lm.random_weights:
        raise GistError(f"{lm.name} has random weights; an adapter for it would learn nothing")
    if not any(stage.compresses or stage.plain == 1 for stage in stages):
        raise GistError("no stage has gists: give ratios, such as 8 and 16 context tokens per gist")
    taken = [token for token in lm.tokenizer.inner.get_vocab() if token.startswith(GIST_TOKEN)]
    if taken:
        raise GistError(
            f"the tokenizer of {lm.name} has {len(taken)} tokens of its own such as {taken[0]}: "
            "it belongs to a model that was trained with gists before. Give its base model."
        )


def _check_start(folder: Path, lm: LanguageModel, recipe: AdapterRecipe) -> None:
    """Refuse to go on from an adapter of another base or of another build."""
    card = read_card(folder)
    check_base(card, lm, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    here = (recipe.rank, recipe.alpha, set(recipe.targets), recipe.plan.rows, recipe.embeddings)
    full = "lm_head" in (config["modules_to_save"] or ())
    there = (
        config["r"],
        config["lora_alpha"],
        set(config["target_modules"]),
        card.plan.rows,
        "full" if full else "rows",
    )
    names = ("rank", "alpha", "targets", "rows", "embeddings")
    for name, mine, its in zip(names, here, there, strict=True):
        if mine != its:
            its = ", ".join(sorted(its)) if isinstance(its, set) else its
            raise GistError(f"{folder} has another {name}: {its}. Give the same to go on from it.")


def _check_same(output: Path, described: Mapping[str, Any], *, resume: bool) -> None:
    """Note what is trained in the folder; refuse to go on with something else."""
    path = output / "training.json"
    said = json.loads(json.dumps(described))
    if resume and path.is_file():
        begun = json.loads(path.read_text())
        changed = sorted(name for name in said if begun.get(name) != said[name])
        if changed:
            raise GistError(
                f"{output} holds a training that differs in {', '.join(changed)}. "
                "Give the same command, or another --output."
            )
    output.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said, indent=1) + "\n")


def _examples(batches: Batches, held: Sequence[Item], stage: Stage) -> list[Example]:
    rng = random.Random(0)
    examples = []
    for context, pairs in held:
        ids = tuple(batches.tokenizer.encode(context))
        if stage.max_context_tokens is None or len(ids) <= stage.max_context_tokens:
            examples.append(batches.example(ids, pairs, 0, stage, rng))
    return examples


def _options(recipe: AdapterRecipe, output: Path, seed: int, resume: bool) -> Options:
    return Options(
        output,
        lr=recipe.lr,
        gist_lr=recipe.gist_lr,
        weight_decay=0.0,
        warmup_steps=recipe.warmup_steps,
        rows_first_steps=recipe.rows_first_steps,
        accumulation=recipe.accumulation,
        bf16=recipe.bf16,
        gradient_checkpointing=recipe.gradient_checkpointing,
        weights=recipe.weights,
        report_to=tuple(recipe.report_to),
        save_steps=recipe.save_steps,
        seed=seed,
        resume=resume,
    )


def _first_examples(batches: Batches) -> tuple[list[Example], list[Example]]:
    """Return a batch with gists, of the first stage that has them (or none), and of the last."""
    curriculum = batches.curriculum

    def drawn(stage: Stage) -> list[Example]:
        return batches.batch(curriculum.draw(0, stage), stage, random.Random(0))

    compressing = [stage for stage in curriculum.stages if stage.compresses]
    first = drawn(replace(compressing[0], plain=0.0)) if compressing else []
    return first, drawn(curriculum.stages[-1])


def _check_mask(adapted: PeftModel, collator: PackedCollator, examples: list[Example]) -> None:
    """Refuse to train where answers see the context past the gists, or not through them."""
    if not examples:
        return  # trained on full contexts alone
    proof = mask_blocks(adapted, collator, examples)
    if not proof.passed:
        raise GistError(
            f"the mask is wrong: the gradient from answers to the context is {proof.cut:.3g} with "
            f"the gists cut off (must be 0) and {proof.whole:.3g} with them (must not be 0). "
            "No score of such a training would mean anything."
        )
    log.info(
        "the mask hides %d context tokens: gradient %.3g through the gists, exactly 0 past them",
        proof.context_tokens,
        proof.whole,
    )


def _watch(
    adapted: Any,
    examples: Sequence[Example],
    collator: PackedCollator,
    recipe: AdapterRecipe,
    stage: Stage,
    output: Path,
) -> Watch | None:
    """Return what scores held-out contexts at the middle of the last stage's compressions."""
    if len(examples) < 2:
        log.warning("too few contexts to hold any back: there will be no held-out score")
        return None
    held = held_out(examples, collator, batch_tokens=stage.batch_tokens)
    baselines = {way: held.ask(adapted, way) for way in BASELINES}
    ratios, tokens = sorted(stage.ratios), sorted(stage.tokens)
    return Watch(
        held,
        baselines,
        ratio=ratios[len(ratios) // 2] if ratios else None,
        tokens=tokens[len(tokens) // 2] if tokens else None,
        output=output,
        steps=recipe.eval_steps,
        patience=recipe.patience,
    )


def _ending(adapted: Any, watch: Watch | None, stages: Sequence[Stage]) -> dict[str, Any]:
    """Return the curve, the table over gists and context tokens, and the verdict."""
    if watch is None:
        return {}
    ratios = sorted({ratio for stage in stages for ratio in stage.ratios})
    tokens = sorted({count for stage in stages for count in stage.tokens})
    rows = table(adapted, watch.held, ratios=ratios, tokens=tokens)
    found = verdict(watch.last) if watch.last and stages[-1].compresses else None
    if found:
        log.warning("%s", found)
    return {"curve": watch.curve, "table": rows, "verdict": found or "gists are used"}


def _draw(
    lm: LanguageModel, collator: PackedCollator, examples: Sequence[Example], output: Path
) -> None:
    """Draw the mask of training and what the gists of one context attend to."""
    if not examples:
        return
    example = examples[0]
    training_mask(output / "mask.png", collator, example)
    lm.model.eval()
    gist_attention(
        output / "attention.png",
        lm,
        example.context,
        gists=example.gists,
        plan=collator.plan,
    )


def _name_base(path: Path, name: str) -> None:
    """Put the base's name where PEFT writes its folder on the machine that trained."""
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"base_model_name_or_path": name}, indent=2) + "\n")
