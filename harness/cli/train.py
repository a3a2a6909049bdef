"""`gist-bench train-gist` and `gist-bench train-reference`: adapters and the model they belong to.

The command line turns suites into plain text for `gist`, which knows nothing of benchmarks, and
hands it the prompt's pieces as values.
"""

import logging
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.api import ABSTENTION, PROMPT, Tokenizer
from harness.cli.training_data import Feed, build_suite, data_hash, feed, texts
from harness.errors import UserError
from harness.spec import Spec, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from gist.curriculum import Stage
    from gist.model import LanguageModel

CORPUS_SAMPLES = 3000  # samples of each source that the reference tokenizer is fitted on
LARGE = 10**9  # parameters beyond which training on a CPU has to be asked for
DEFAULT_RATIOS = (8.0, 16.0)
SNIPPETS = 2  # of each context, where reconstruction is asked for

Recipe = TypeVar("Recipe", bound="DataclassInstance")
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class ModelOptions:
    """Which model is trained, and where."""

    model: str = "reference"
    device: str | None = None
    load_in_4bit: bool = False
    seed: int = 0


@dataclass(frozen=True)
class StageOptions:
    """What makes the stages where a configuration has none."""

    ratios: Sequence[float] = ()
    tokens: Sequence[int] = ()
    context_tokens: Sequence[int] = ()
    max_steps: int | None = None
    epochs: float | None = None
    batch_tokens: int = 8192
    questions: int = 12
    plain: float = 0.0
    snippets: int | None = None


_output = click.option(
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="A new folder for checkpoints, the log and the result.",
)
_config = click.option(
    "--config",
    metavar="FILE.yaml",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Options, sources and stages; what the command line says wins.",
)
_resume = click.option("--resume", is_flag=True, help="Go on from the newest checkpoint in DIR.")
_positive = click.IntRange(min=1)
# Each is a key of the configuration too, under its name with underscores.
_RECIPE_OPTIONS = (
    click.option("--ratio", "ratios", multiple=True, type=float, help="Context tokens per gist."),
    click.option(
        "--tokens",
        multiple=True,
        type=_positive,
        help="Gists of a context, instead of --ratio; several are drawn at random.",
    ),
    click.option(
        "--init-adapter",
        metavar="DIR",
        help="An adapter of the same build to go on from. Default: a new one.",
    ),
    click.option(
        "--placement",
        type=click.Choice(["end", "interleaved"]),
        help="Gists behind the context, or a few after each segment of it.",
    ),
    click.option(
        "--positions",
        type=click.Choice(["continue", "spread"]),
        help="Gists at positions of their own, or spread over the context's.",
    ),
    click.option("--segment-tokens", type=_positive, help="Tokens before each group of gists."),
    click.option("--rows", type=_positive, help="Gist embeddings: most gists in a group."),
    click.option(
        "--keep-prefix/--drop-prefix",
        default=None,
        help="Whether BOS and instruction stay in the cache. Default: they do.",
    ),
    click.option(
        "--embeddings",
        type=click.Choice(["rows", "full"]),
        help="Train the gist rows, or all embeddings and the head (12 to 24 GB more on 8B).",
    ),
    click.option("--rank", type=_positive, help="Rank of LoRA."),
    click.option("--alpha", type=_positive, help="Scale of LoRA, over its rank."),
    click.option("--target", "targets", multiple=True, help="Layers with LoRA, such as q_proj."),
    click.option("--answers", type=float, help="Weight of the answers' cross-entropy."),
    click.option("--distillation", type=float, help="Weight of what the model says in full."),
    click.option("--top-k", type=_positive, help="Most likely tokens that distillation keeps."),
    click.option("--reconstruction", type=float, help="Weight of telling pieces of the context."),
    click.option("--plain", type=click.FloatRange(0, 1), help="Share of uncompressed batches."),
    click.option(
        "--context-tokens",
        multiple=True,
        type=_positive,
        help="Longest context; several make a curriculum, few gist counts first.",
    ),
    click.option("--lr", type=float, help="Learning rate of LoRA."),
    click.option("--gist-lr", type=float, help="Learning rate of the gist embeddings."),
    click.option("--warmup-steps", type=_positive, help="Steps in which learning rates rise."),
    click.option("--rows-first-steps", type=int, help="Steps in which gist rows learn alone."),
    click.option("--batch-tokens", type=_positive, help="Tokens of a batch."),
    click.option("--questions", type=_positive, help="Most questions of a context in a batch."),
    click.option("--accumulation", type=_positive, help="Batches of a step."),
    click.option("--gradient-checkpointing", is_flag=True, default=None, help="Less memory."),
    click.option("--max-steps", type=_positive, help="Steps, where there are no stages."),
    click.option("--epochs", type=float, help="Passes over the data, instead of --max-steps."),
    click.option("--save-steps", type=_positive, help="Steps between checkpoints."),
    click.option("--eval-steps", type=_positive, help="Steps between held-out scores."),
    click.option("--eval-contexts", type=int, help="Contexts held back."),
    click.option("--patience", type=_positive, help="Scores without a better one before the end."),
    click.option("--report-to", multiple=True, help="A tracker, such as tensorboard or wandb."),
    click.option("--seed", type=int, help="Decides everything. Default: 0."),
    click.option("--device", metavar="D", help="cpu or cuda. Default: cuda if there is one."),
    click.option("--load-in-4bit", is_flag=True, default=None, help="Train on NF4 weights."),
)
_DRY_RUN_OPTIONS = (
    click.option("--dry-run", is_flag=True, help="Show what a step takes, and train nothing."),
    click.option("--memory-limit-gib", type=float, help="Dry run: the card to simulate, in GiB."),
)


def _recipe_options(command: Command) -> Command:
    for option in reversed(_RECIPE_OPTIONS + _DRY_RUN_OPTIONS):
        command = option(command)
    return command


@click.command(name="train-gist")
@click.option("--model", help="As for gist-bench run. Default: reference.")
@click.option(
    "--data",
    "data",
    multiple=True,
    metavar="FILE",
    help="Contexts and questions as the suite qa reads them: JSONL, or PREFIX:FILE.",
)
@click.option("--suite", "suites", multiple=True, metavar="SPEC", help="e.g. qa,split=train")
@_output
@_config
@_recipe_options
@_resume
def train_gist(
    *,
    data: tuple[str, ...],
    suites: tuple[str, ...],
    output: Path | None,
    config: Path | None,
    resume: bool,
    dry_run: bool,
    memory_limit_gib: float | None,
    **given: Any,
) -> None:
    """Train a gist adapter for a model on your data.

    Training reads each context once for all its questions, under a mask that hides the context from
    them: what they need has to go through the gists. DIR/adapter is the result.

    \b
    Examples:
      gist-bench train-gist --data train.jsonl --output my-adapter
      gist-bench train-gist --model ./llama --load-in-4bit --suite qa,split=train --output out
      gist-bench train-gist --model shape:llama-3-8b --load-in-4bit --dry-run
    """  # noqa: D301 - click wants the backspace itself
    settings = _settings(config, given)
    if dry_run:
        _show_dry_run(settings, memory_limit_gib)
        return
    output = _claim(output, resume=resume)
    from gist.recipe import AdapterRecipe, check_trainable, train_adapter

    _show_progress()
    named = _sources(settings, data, suites)
    if not named:
        raise UserError("there is nothing to train on. Give --data FILE.jsonl or --suite SPEC.")
    recipe = _fill(AdapterRecipe, settings, StageOptions, ModelOptions)
    options = _fill(StageOptions, settings, AdapterRecipe, ModelOptions)
    chosen = _fill(ModelOptions, settings, AdapterRecipe, StageOptions)
    lm = _load(chosen)
    hold = math.ceil(recipe.eval_contexts / len(named))
    feeds = {name: feed(text, lm.tokenizer, hold=hold) for name, text in named.items()}
    if not settings.get("stages") and not options.ratios and not options.tokens:
        options = replace(options, ratios=DEFAULT_RATIOS)
    if recipe.reconstruction and options.snippets is None:
        options = replace(options, snippets=SNIPPETS)
    stages = _stages(settings, options, feeds, lm.tokenizer)
    check_trainable(lm, stages)
    for text in dict.fromkeys(named.values()):
        _check_rows(text, lm, stages)
    held = _held(feeds, stages[-1], recipe.eval_contexts)
    folder = train_adapter(
        lm,
        {name: fed.source for name, fed in feeds.items()},
        recipe,
        stages=stages,
        output=output,
        seed=chosen.seed,
        resume=resume,
        about={"sources": named, "data_hash": data_hash(named)},
        held=held,
    )
    if _is_first():
        click.echo(folder)


@click.command(name="train-reference")
@_output
@_config
@click.option("--seed", type=int, default=0, show_default=True, help="Decides everything.")
@_resume
def train_reference(*, output: Path | None, config: Path | None, seed: int, resume: bool) -> None:
    """Train the reference model from scratch: tokenizer, then weights, by a curriculum.

    \b
    Example:
      gist-bench train-reference --output results/runs/reference-model
    """  # noqa: D301 - click wants the backspace itself
    output = _claim(output, resume=resume)
    from gist.model_recipe import CURRICULUM, ModelRecipe, train_model

    _show_progress()
    settings = _settings(config or CURRICULUM, {})
    named = _sources(settings, (), ())
    corpus = chain(*(texts(named[name], CORPUS_SAMPLES) for name in settings["tokenizer"]))

    def later(text: str) -> Any:
        return lambda tokenizer: feed(text, tokenizer, hold=0).source

    folder = train_model(
        {name: later(text) for name, text in named.items()},
        _fill(ModelRecipe, settings, StageOptions),
        corpus=chain([PROMPT.head, PROMPT.between, ABSTENTION] * CORPUS_SAMPLES, corpus),
        prompt={"head": PROMPT.head, "between": PROMPT.between, "tail": PROMPT.tail},
        stages=_stages(settings, StageOptions(), dict.fromkeys(named), None),
        output=output,
        seed=seed,
        resume=resume,
    )
    click.echo(folder)


def _is_first() -> bool:
    """Whether this process is the one that speaks and writes, of those torchrun has started."""
    return os.environ.get("RANK", "0") == "0"


def _show_dry_run(settings: dict[str, Any], memory_limit_gib: float | None) -> None:
    """Print what a step takes at several lengths; the model may be a bare shape."""
    from gist.adapter import LoraOptions
    from gist.dry_run import CONTEXTS, Trial
    from gist.recipe import AdapterRecipe
    from harness.cli.dry_run import show

    recipe = _fill(AdapterRecipe, settings, StageOptions, ModelOptions)
    options = _fill(StageOptions, settings, AdapterRecipe, ModelOptions)
    lm = _load(_fill(ModelOptions, settings, AdapterRecipe, StageOptions), shapes=True)
    trial = Trial(
        recipe.plan,
        LoraOptions(recipe.rank, recipe.alpha, tuple(recipe.targets)),
        embeddings=recipe.embeddings,
        gradient_checkpointing=recipe.gradient_checkpointing,
        bf16=recipe.bf16,
        questions=options.questions,
        ratio=max(options.ratios, default=max(DEFAULT_RATIOS)),
    )
    longest = [c for c in CONTEXTS if c + 600 <= lm.max_positions] or [lm.max_positions // 2]
    contexts = sorted(options.context_tokens) or longest
    click.echo(show(lm, trial, contexts=contexts, memory_limit_gib=memory_limit_gib))


def _claim(output: Path | None, *, resume: bool) -> Path:
    """Refuse a folder that exists, unless training goes on in it."""
    if output is None:
        raise UserError("--output is missing. Give a new folder for the result: --output DIR.")
    if resume and not output.is_dir():
        raise UserError(f"{output} does not exist, so nothing can be resumed. Leave --resume out.")
    if not resume and output.exists() and _is_first():
        raise UserError(f"{output} exists. Give another --output, or --resume to go on in it.")
    return output


def _load(options: ModelOptions, *, shapes: bool = False) -> "LanguageModel":
    """Load the model; a large one on a CPU only where that is asked for.

    With `shapes`, a large one is its shapes alone instead.
    """
    from gist import fit
    from gist.loading import choose_device, load_model, read_facts

    name, device, reason = options.model, options.device, ""
    if device is None and "LOCAL_RANK" in os.environ and choose_device(None).type == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    if device is None and choose_device(None).type == "cpu":
        parameters = fit.skeleton(read_facts(name)[0]).num_parameters()
        if parameters > LARGE:
            reason = (
                f"{name} has {parameters / 1e9:.1f} billion parameters and this machine no GPU; "
                "a step would take minutes. Add --device cpu to train all the same."
            )
            if not shapes:
                raise UserError(reason)
    return load_model(
        name,
        head=PROMPT.head,
        between=PROMPT.between,
        tail=PROMPT.tail,
        device=device,
        load_in_4bit=options.load_in_4bit,
        without_weights=reason,
    )


def _settings(config: Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the YAML file; what the command line gave wins."""
    import yaml

    read: Any = {}
    if config is not None:
        try:
            read = yaml.safe_load(config.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{config} is no YAML: {error}") from None
        if not isinstance(read, dict):
            raise UserError(f"{config} must hold options, as name: value. See gist/reference.")
    settings: dict[str, Any] = read | {
        name: value for name, value in given.items() if value not in (None, ())
    }
    return settings


def _fill(cls: type[Recipe], settings: Mapping[str, Any], *others: type) -> Recipe:
    """Make a recipe of the settings; what is neither its field nor known here is refused."""
    names = {item.name for item in fields(cls)}
    known = names | {"sources", "stages", "tokenizer"}
    known |= {item.name for other in others for item in fields(other)}
    for name in settings:
        if name not in known:
            raise UserError(
                f"unknown option {name!r}. {did_you_mean(name, known)}"
                f"Options: {', '.join(sorted(known))}."
            )
    try:
        return cls(**{name: value for name, value in settings.items() if name in names})
    except (TypeError, ValueError) as error:
        raise UserError(str(error)) from None


def _sources(
    settings: Mapping[str, Any], data: Sequence[str], suites: Sequence[str]
) -> dict[str, str]:
    """Return every source's spec by name: those of the YAML file, then the command line's."""
    named = dict(settings.get("sources", {}))
    for path in data:
        named[Path(path).stem] = str(Spec("qa", {"data": path}))
    for text in suites:
        named[text] = text
    return named


def _stages(
    settings: Mapping[str, Any],
    options: StageOptions,
    feeds: Mapping[str, Feed | None],
    tokenizer: Tokenizer | None,
) -> "list[Stage]":
    """Return the stages of the YAML file, or those that the options make."""
    from gist.curriculum import Stage

    rows = settings.get("stages") or _rows(options, feeds, tokenizer)
    shared = {"plain": options.plain} if options.plain else {}
    if options.snippets is not None:
        shared["snippets"] = options.snippets
    try:
        stages = [Stage(**shared | row) for row in rows]
    except (TypeError, ValueError) as error:
        raise UserError(f"a stage is wrong: {error}") from None
    for stage in stages:
        for name in stage.sources:
            if name not in feeds:
                raise UserError(
                    f"stage {stage.name!r} names the source {name!r}. "
                    f"{did_you_mean(name, feeds)}Sources: {', '.join(feeds)}."
                )
    return stages


def _rows(
    options: StageOptions, feeds: Mapping[str, Feed | None], tokenizer: Tokenizer | None
) -> list[dict[str, Any]]:
    """Return one stage, or one for each limit of context tokens, the easy ones first."""
    limits: list[int | None] = [*sorted(options.context_tokens)] or [None]
    steps = _steps(options, feeds, tokenizer)
    # Many gists for a context are easier than few: small ratios first, large counts first.
    ratios, tokens = sorted(options.ratios), sorted(options.tokens, reverse=True)
    rows = []
    for i, limit in enumerate(limits, start=1):
        last = i == len(limits)
        rows.append(
            {
                "name": f"context-{limit}" if limit else "all",
                "sources": dict.fromkeys(feeds, 1.0),
                "max_steps": max(1, steps // len(limits)),
                "batch_tokens": options.batch_tokens,
                "questions": options.questions,
                "ratios": tuple(ratios[: math.ceil(len(ratios) * i / len(limits))]),
                "tokens": tuple(tokens[: math.ceil(len(tokens) * i / len(limits))]),
                "max_context_tokens": limit,
                "lr": (1.0, 0.1) if last else (1.0, 1.0),
            }
        )
    return rows


def _steps(
    options: StageOptions, feeds: Mapping[str, Feed | None], tokenizer: Tokenizer | None
) -> int:
    """Return how many steps are asked for: a number, or as many as the passes over files need."""
    if options.epochs is None:
        return options.max_steps or 1000
    if options.max_steps is not None:
        raise UserError("epochs and max_steps say the same thing twice; give one of them.")
    total = 0.0
    for name, fed in feeds.items():
        if fed is None or fed.contexts is None or tokenizer is None:
            raise UserError(f"{name} gives contexts without end: give --max-steps, not --epochs.")
        some = list(fed.source(0))[:100]
        tokens = [
            len(tokenizer.encode(context)) + sum(len(tokenizer.encode(q + a)) for q, a in pairs)
            for context, pairs in some
        ]
        total += fed.contexts * sum(tokens) / len(tokens)
    return max(1, math.ceil(options.epochs * total / options.batch_tokens))


def _check_rows(text: str, lm: "LanguageModel", stages: "Sequence[Stage]") -> None:
    """Refuse a file with a row that does not fit: nothing is ever cut off."""
    suite = build_suite(text)
    if getattr(suite, "data", None) is None:
        return
    encode = lm.tokenizer.encode
    fixed = sum(map(len, (lm.prompt.before, lm.prompt.between, lm.prompt.after)))
    most = max((count for stage in stages for count in stage.tokens), default=0)
    limits = [stage.max_context_tokens for stage in stages]
    limit = None if None in limits else max(filter(None, limits))
    for number, sample in enumerate(suite.samples(lm.tokenizer, 0), start=1):
        size = len(encode(sample.context))
        if limit is not None and size > limit:
            continue  # the stages pass it over
        if size < most:
            raise UserError(
                f"{text}, row {number} ({sample.id}): {most} gists for a context of {size} tokens "
                "compress nothing. Give fewer --tokens, or --ratio."
            )
        asked = max(
            len(encode(q.text)) + len(encode(q.targets[0] if q.targets else ABSTENTION)) + 1
            for q in sample.questions
        )
        if fixed + size + most + asked > lm.max_positions:
            raise UserError(
                f"{text}, row {number} ({sample.id}): context, gists, question and answer need "
                f"{fixed + size + most + asked} positions, {lm.name} has {lm.max_positions}. "
                "Shorten it, or pass over long contexts with --context-tokens."
            )


def _held(feeds: Mapping[str, Feed], stage: "Stage", count: int) -> "list[Any]":
    """Return held-out contexts of the last stage's sources, by their shares."""
    total = sum(stage.sources.values())
    chosen: list[Any] = []
    for name, share in stage.sources.items():
        chosen += feeds[name].held[: math.ceil(count * share / total)]
    return chosen


def _show_progress() -> None:
    """Show the steps, and not what the libraries have to say to each other."""
    logging.getLogger("gist").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
