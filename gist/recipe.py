"""The two trainings from start to end: the reference model, and a gist adapter for any model."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from gist.adapter import ATTENTION, LoraOptions, added
from gist.checkpoint import Card, write_card
from gist.collator import PackedCollator
from gist.curriculum import Batches, Curriculum, Source, Stage
from gist.embedding import first_gist_id
from gist.errors import GistError
from gist.layout import GistPlan, Placement, Positions
from gist.model import LanguageModel
from gist.prompt import PromptIds, TextTokenizer, render_prompt
from gist.reference_model import build_model, save, train_tokenizer
from gist.train import Options, train

CURRICULUM = Path(__file__).parent / "reference" / "model.yaml"
PACKAGES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """Shape and training of the reference model."""

    layers: int = 4
    hidden: int = 128
    heads: int = 2
    max_positions: int = 4096
    vocabulary: int = 2000
    min_frequency: int = 600
    pieces: Sequence[str] = ()  # what must be one token each
    lr: float = 2e-3
    bf16: bool = True
    save_steps: int = 200


@dataclass(frozen=True, slots=True)
class AdapterRecipe:
    """Layout, adapter and training of gists."""

    placement: Placement = "interleaved"
    positions: Positions = "spread"
    segment_tokens: int = 64
    rows: int = 64
    rank: int = 64
    alpha: int = 128
    targets: Sequence[str] = ATTENTION
    lr: float = 2e-4
    gist_lr: float = 1e-3
    bf16: bool = True
    gradient_checkpointing: bool = False
    save_steps: int = 200

    @property
    def plan(self) -> GistPlan:
        """Where the gists stand."""
        return GistPlan(self.rows, self.placement, self.positions, self.segment_tokens)


def train_model(
    sources: Mapping[str, Callable[[TextTokenizer], Source]],
    recipe: ModelRecipe,
    *,
    corpus: Iterable[str],
    prompt: Mapping[str, str],
    stages: Sequence[Stage],
    output: Path,
    seed: int,
    resume: bool,
) -> Path:
    """Fit the tokenizer, train the model, and return its folder, `output/model`.

    Args:
        sources: by name, what gives a source once there is a tokenizer.
        recipe: shape and training.
        corpus: the texts that the tokenizer is fitted on.
        prompt: head, between and tail.
        stages: the curriculum.
        output: folder of checkpoints and log.
        seed: decides weights and batches.
        resume: go on from the newest checkpoint.
    """
    untrained = output / "untrained"
    if not untrained.is_dir():
        fitted = train_tokenizer(
            corpus,
            pieces=recipe.pieces,
            vocabulary=recipe.vocabulary,
            min_frequency=recipe.min_frequency,
        )
        shape = {"layers": recipe.layers, "hidden": recipe.hidden, "heads": recipe.heads}
        fresh = build_model(fitted, **shape, max_positions=recipe.max_positions, seed=seed)
        save(untrained, fresh, fitted)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(untrained)
    model = Qwen3ForCausalLM.from_pretrained(untrained, attn_implementation="sdpa")
    text = TextTokenizer(tokenizer)
    pieces = render_prompt(tokenizer, **prompt)
    curriculum = Curriculum(stages, {name: make(text) for name, make in sources.items()}, seed)
    options = Options(
        output,
        lr=recipe.lr,
        bf16=recipe.bf16,
        save_steps=recipe.save_steps,
        seed=seed,
        resume=resume,
    )
    train(
        model,
        Batches(curriculum, text, tokenizer.eos_token_id, _overhead(pieces)),
        PackedCollator(pieces, first_gist_id(model), GistPlan(rows=0)),
        options,
    )
    save(output / "model", model, tokenizer)
    return output / "model"


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
) -> Path:
    """Train a gist adapter and return its folder, `output/adapter`.

    Args:
        lm: the base model; it is left as it was found.
        sources: by name, contexts with questions and answers.
        recipe: layout, adapter and training.
        stages: the curriculum.
        output: folder of checkpoints and log.
        seed: decides gist rows, LoRA and batches.
        resume: go on from the newest checkpoint.
        about: what the checkpoint should say of the data.

    Raises:
        GistError: a model without trained weights, or ratios that no group of gists can hold.
    """
    if lm.random_weights:
        raise GistError(f"{lm.name} has random weights; an adapter for it would learn nothing")
    ratios = tuple(sorted({ratio for stage in stages for ratio in stage.ratios}))
    if not ratios:
        raise GistError("no stage has gists: give ratios, such as 8 and 16 context tokens per gist")
    end_id = lm.tokenizer.inner.eos_token_id or min(lm.end_ids)
    curriculum = Curriculum(stages, sources, seed)
    lora = LoraOptions(recipe.rank, recipe.alpha, tuple(recipe.targets))
    options = Options(
        output,
        lr=recipe.lr,
        gist_lr=recipe.gist_lr,
        weight_decay=0.0,
        bf16=recipe.bf16,
        gradient_checkpointing=recipe.gradient_checkpointing,
        save_steps=recipe.save_steps,
        seed=seed,
        resume=resume,
    )
    gist_id = first_gist_id(lm.model)
    with added(lm.model, recipe.plan, lora, seed=seed) as adapted:
        train(
            adapted,
            Batches(curriculum, lm.tokenizer, end_id, _overhead(lm.prompt)),
            PackedCollator(lm.prompt, gist_id, recipe.plan),
            options,
        )
        folder = output / "adapter"
        adapted.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    _name_base(folder / "adapter_config.json", lm.name)
    shutil.copy(output / "log.csv", folder / "log.csv")
    training = {
        **about,
        "recipe": asdict(recipe),
        "stages": [asdict(stage) for stage in stages],
        "seed": seed,
        "steps": curriculum.progress.step,
        "versions": {name: version(name) for name in PACKAGES},
    }
    write_card(
        folder,
        Card(recipe.plan, lm.name, lm.fingerprint, lm.prompt_hash, ratios, training),
    )
    return folder


def _name_base(path: Path, name: str) -> None:
    """Put the base's name where PEFT writes its folder on the machine that trained."""
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"base_model_name_or_path": name}, indent=2) + "\n")


def _overhead(pieces: PromptIds) -> int:
    return len(pieces.between) + len(pieces.after)
