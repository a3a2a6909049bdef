"""The training of the reference model: its tokenizer, then its weights, by a curriculum."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from gist.collator import PackedCollator
from gist.curriculum import Batches, Curriculum, Source, Stage
from gist.embedding import first_gist_id
from gist.layout import GistPlan
from gist.prompt import TextTokenizer, render_prompt
from gist.reference_model import build_model, save, train_tokenizer
from gist.train import Options, train

CURRICULUM = Path(__file__).parent / "reference" / "model.yaml"


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
        Batches(curriculum, text, tokenizer.eos_token_id, len(pieces.between) + len(pieces.after)),
        PackedCollator(pieces, first_gist_id(model), GistPlan(rows=0)),
        options,
    )
    save(output / "model", model, tokenizer)
    return output / "model"
