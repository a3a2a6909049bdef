"""The training of the reference model: its tokenizer, then its weights, by a curriculum."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from gist.collator import PackedCollator
from gist.embedding import first_gist_id
from gist.forward import PackedForward
from gist.layout import GistPlan
from gist.models.prompt import PromptText, TextTokenizer, render_prompt
from gist.training.configuration import LossWeights, OptimiserOptions, SavingOptions
from gist.training.curriculum import Batches, Curriculum
from gist.training.curriculum_options import Stage
from gist.training.reference_model import build_model, save, train_tokenizer
from gist.training.stages import Source, check_sources
from gist.training.step import TrainingStep
from gist.training.train import Run, train

CURRICULUM = Path(__file__).parents[1] / "reference" / "model.yaml"
WEIGHT_DECAY = 0.1
NO_GISTS = GistPlan(rows=0)


@dataclass(frozen=True, slots=True)
class ModelConfiguration:
    """Shape and training of the reference model."""

    layers: int = 4
    hidden: int = 128
    heads: int = 2
    max_positions: int = 4096
    vocabulary: int = 2000
    min_frequency: int = 600
    pieces: tuple[str, ...] = ()  # what must be one token each
    tokenizer: tuple[str, ...] = ()  # sources whose texts the tokenizer is fitted on
    sources: Mapping[str, str] = field(default_factory=dict)  # specs of suites, by name
    stages: tuple[Stage, ...] = ()
    optimiser: OptimiserOptions = field(default_factory=partial(OptimiserOptions, lr=2e-3))
    saving: SavingOptions = field(default_factory=SavingOptions)


def train_model(
    sources: Mapping[str, Callable[[TextTokenizer], Source]],
    configuration: ModelConfiguration,
    *,
    corpus: Iterable[str],
    prompt: PromptText,
    output: Path,
    seed: int,
    resume: bool,
) -> Path:
    """Fit the tokenizer on `corpus`, train the model, and return its folder, `output/model`.

    Each of `sources` gives a source once there is a tokenizer. With `resume`, training goes on from
    the newest checkpoint in `output`.
    """
    untrained = output / "untrained"
    if not untrained.is_dir():
        fitted = train_tokenizer(
            corpus,
            pieces=configuration.pieces,
            vocabulary=configuration.vocabulary,
            min_frequency=configuration.min_frequency,
        )
        fresh = build_model(
            fitted,
            layers=configuration.layers,
            hidden=configuration.hidden,
            heads=configuration.heads,
            max_positions=configuration.max_positions,
            seed=seed,
        )
        save(untrained, fresh, fitted)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(untrained)
    model = Qwen3ForCausalLM.from_pretrained(untrained, attn_implementation="sdpa")
    text = TextTokenizer(tokenizer)
    pieces = render_prompt(tokenizer, prompt)
    made = {name: make(text) for name, make in sources.items()}
    for stage in configuration.stages:
        check_sources(stage.sources, made, f"stage {stage.name!r}")
    train(
        model,
        Batches(
            Curriculum(configuration.stages, made, seed),
            text,
            end_id=tokenizer.eos_token_id,
            overhead=len(pieces.between) + len(pieces.after),
            plan=NO_GISTS,
        ),
        TrainingStep(
            PackedForward(PackedCollator(pieces, first_gist_id(model), NO_GISTS)),
            LossWeights(),
        ),
        Run(
            output,
            seed,
            resume,
            configuration.optimiser,
            configuration.saving,
            weight_decay=WEIGHT_DECAY,
        ),
    )
    save(output / "model", model, tokenizer)
    return output / "model"
