"""`gist-bench train-reference`: the small model that comes with its adapter, from scratch."""

from itertools import chain
from pathlib import Path
from typing import Any

import click

from harness.api import ABSTENTION, PROMPT
from harness.cli.training import (
    claim,
    config_option,
    output_option,
    read_settings,
    resume_option,
    show_progress,
)
from harness.run.training_data import feed, texts

CORPUS_SAMPLES = 3000  # samples of each source that the reference tokenizer is fitted on


@click.command(name="train-reference")
@output_option
@config_option
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@resume_option
def command(*, output: Path | None, config: Path | None, seed: int, resume: bool) -> None:
    """Train the reference model from scratch: tokenizer, then weights, by a curriculum.

    \b
    Example:
      gist-bench train-reference --output results/runs/reference-model
    """  # noqa: D301 - click wants the backspace itself
    output = claim(output, resume=resume)
    from gist.training.model_recipe import CURRICULUM, ModelConfiguration, train_model
    from gist.training.options import read

    show_progress()
    configuration = read(ModelConfiguration, read_settings(config or CURRICULUM, {}))
    sources = configuration.sources
    corpus = chain(*(texts(sources[name], CORPUS_SAMPLES) for name in configuration.tokenizer))

    def later(text: str) -> Any:
        return lambda tokenizer: feed(text, tokenizer, hold=0).source

    folder = train_model(
        {name: later(text) for name, text in sources.items()},
        configuration,
        corpus=chain([PROMPT.head, PROMPT.between, ABSTENTION] * CORPUS_SAMPLES, corpus),
        prompt=PROMPT,
        output=output,
        seed=seed,
        resume=resume,
    )
    click.echo(folder)
