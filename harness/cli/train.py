"""`gist-bench train-gist` and `gist-bench train-reference`: adapters and the model they belong to.

The command line turns suites into plain text for `gist`, which knows nothing of benchmarks, and
hands it the prompt's pieces as values.
"""

import logging
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness import plugins
from harness.api import ABSTENTION, PROMPT, Suite, Tokenizer
from harness.errors import UserError
from harness.spec import Spec, build, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from gist.curriculum import Item, Source, Stage

CORPUS_SAMPLES = 3000  # samples of each source that the reference tokenizer is fitted on

Recipe = TypeVar("Recipe", bound="DataclassInstance")

_output = click.option(
    "--output",
    metavar="DIR",
    required=True,
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
_seed = click.option("--seed", type=int, default=0, show_default=True, help="Decides everything.")


@click.command(name="train-gist")
@click.option("--model", default="reference", show_default=True, help="As for gist-bench run.")
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
@click.option("--ratio", "ratios", multiple=True, type=float, help="Context tokens per gist.")
@click.option(
    "--placement",
    type=click.Choice(["end", "interleaved"]),
    help="Gists behind the context, or a few after each segment of it.",
)
@click.option(
    "--positions",
    type=click.Choice(["continue", "spread"]),
    help="Gists at positions of their own, or spread over the context's.",
)
@click.option("--segment-tokens", type=click.IntRange(min=1), help="Tokens before each group.")
@click.option("--rows", type=click.IntRange(min=1), help="Gist embeddings: most gists in a group.")
@click.option("--rank", type=click.IntRange(min=1), help="Rank of LoRA.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Steps, where there are no stages.")
@click.option("--lr", type=float, help="Learning rate of LoRA.")
@click.option("--gist-lr", type=float, help="Learning rate of the gist embeddings.")
@click.option("--batch-tokens", type=click.IntRange(min=1), help="Tokens of a step.")
@click.option("--device", metavar="D", help="cpu or cuda. Default: cuda if there is one.")
@click.option("--load-in-4bit", is_flag=True, help="Train on NF4 weights (QLoRA).")
@_seed
@_resume
def train_gist(
    *,
    model: str,
    data: tuple[str, ...],
    suites: tuple[str, ...],
    output: Path,
    config: Path | None,
    ratios: tuple[float, ...],
    device: str | None,
    load_in_4bit: bool,
    seed: int,
    resume: bool,
    **given: Any,
) -> None:
    """Train a gist adapter for a model on your data.

    Training reads each context once for all its questions, under a mask that hides the context from
    them: what they need has to go through the gists. DIR/adapter is the result.

    \b
    Examples:
      gist-bench train-gist --data train.jsonl --output my-adapter
      gist-bench train-gist --model ./llama --load-in-4bit --suite qa,split=train --output out
    """  # noqa: D301 - click wants the backspace itself
    settings = _settings(config, given)
    settings |= {"ratios": ratios or tuple(settings.get("ratios", (8.0, 16.0)))}
    _claim(output, resume=resume)
    from gist.loading import load_model
    from gist.recipe import AdapterRecipe, train_adapter

    _show_progress()
    lm = load_model(
        model,
        head=PROMPT.head,
        between=PROMPT.between,
        tail=PROMPT.tail,
        device=device,
        load_in_4bit=load_in_4bit,
    )
    named = _sources(settings, data, suites)
    if not named:
        raise UserError("there is nothing to train on. Give --data FILE.jsonl or --suite SPEC.")
    recipe = _fill(AdapterRecipe, settings)
    sources = {name: _stream(text, lm.tokenizer) for name, text in named.items()}
    folder = train_adapter(
        lm,
        sources,
        recipe,
        stages=_stages(settings, named, ratios=settings["ratios"]),
        output=output,
        seed=seed,
        resume=resume,
        about={"sources": named},
    )
    click.echo(folder)


@click.command(name="train-reference")
@_output
@_config
@_seed
@_resume
def train_reference(*, output: Path, config: Path | None, seed: int, resume: bool) -> None:
    """Train the reference model from scratch: tokenizer, then weights, by a curriculum.

    \b
    Example:
      gist-bench train-reference --output results/runs/reference-model
    """  # noqa: D301 - click wants the backspace itself
    _claim(output, resume=resume)
    from gist.recipe import CURRICULUM, ModelRecipe, train_model

    _show_progress()
    settings = _settings(config or CURRICULUM, {})
    named = _sources(settings, (), ())
    corpus = chain(*(_texts(named[name]) for name in settings["tokenizer"]))
    folder = train_model(
        {name: partial(_stream, text) for name, text in named.items()},
        _fill(ModelRecipe, settings),
        corpus=chain([PROMPT.head, PROMPT.between, ABSTENTION] * CORPUS_SAMPLES, corpus),
        prompt={"head": PROMPT.head, "between": PROMPT.between, "tail": PROMPT.tail},
        stages=_stages(settings, named, ratios=()),
        output=output,
        seed=seed,
        resume=resume,
    )
    click.echo(folder)


def _claim(output: Path, *, resume: bool) -> None:
    """Refuse a folder that exists, unless training goes on in it."""
    if resume and not output.is_dir():
        raise UserError(f"{output} does not exist, so nothing can be resumed. Leave --resume out.")
    if not resume and output.exists():
        raise UserError(f"{output} exists. Give another --output, or --resume to go on in it.")


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
        name: value for name, value in given.items() if value is not None
    }
    return settings


def _fill(cls: type[Recipe], settings: Mapping[str, Any]) -> Recipe:
    """Make a recipe of the settings; what is neither its field nor known here is refused."""
    names = {item.name for item in fields(cls)}
    known = names | {"sources", "stages", "tokenizer", "ratios", "max_steps", "batch_tokens"}
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
    settings: Mapping[str, Any], named: Mapping[str, str], *, ratios: Sequence[float]
) -> "list[Stage]":
    """Return the stages of the YAML file, or one of all sources alike."""
    from gist.curriculum import Stage

    rows = settings.get("stages") or [
        {
            "name": "all",
            "sources": dict.fromkeys(named, 1.0),
            "max_steps": settings.get("max_steps", 1000),
            "batch_tokens": settings.get("batch_tokens", 8192),
            "ratios": ratios,
            "lr": (1.0, 0.1),
        }
    ]
    try:
        stages = [Stage(**row) for row in rows]
    except (TypeError, ValueError) as error:
        raise UserError(f"a stage is wrong: {error}") from None
    for stage in stages:
        for name in stage.sources:
            if name not in named:
                raise UserError(
                    f"stage {stage.name!r} names the source {name!r}. "
                    f"{did_you_mean(name, named)}Sources: {', '.join(named)}."
                )
    return stages


def _build(text: str) -> Suite:
    spec = Spec.parse(text)
    suite: Suite = build(plugins.load(plugins.SUITES, spec.name), spec)
    return suite


def _stream(text: str, tokenizer: Tokenizer) -> "Source":
    """Return a source: for a seed, a suite's contexts with their questions and answers.

    A suite over a file has the same samples whatever the seed: they are shuffled by it.
    """
    suite = _build(text)
    if getattr(suite, "data", None) is None:
        return lambda seed: _items(suite, tokenizer, seed)
    fixed = list(_items(suite, tokenizer, 0))
    if not fixed:
        raise UserError(f"{text} has no question to train on.")

    def shuffled(seed: int) -> "Iterator[Item]":
        return iter(random.Random(seed).sample(fixed, len(fixed)))

    return shuffled


def _items(suite: Suite, tokenizer: Tokenizer, seed: int) -> "Iterator[Item]":
    for sample in suite.samples(tokenizer, seed):
        pairs = [(q.text, q.targets[0] if q.targets else ABSTENTION) for q in sample.questions]
        if pairs:
            yield sample.context, pairs


class _Words:
    """Stands in for a tokenizer before there is one: a token is a word."""

    def encode(self, text: str) -> list[int]:
        return [0] * len(text.split())

    def decode(self, ids: Sequence[int]) -> str:  # noqa: ARG002 - part of the contract
        return ""


def _texts(text: str) -> Iterator[str]:
    for context, pairs in islice(_items(_build(text), _Words(), 0), CORPUS_SAMPLES):
        yield context
        yield from chain(*pairs)


def _show_progress() -> None:
    """Show the steps, and not what the libraries have to say to each other."""
    logging.getLogger("gist").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
