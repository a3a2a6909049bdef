"""`gist-bench train-gist`: a gist adapter for a model, on a person's own data.

Its options are the fields of `gist.training.configuration`. Suites become plain text for `gist`,
which knows nothing of benchmarks, and the prompt's pieces are handed to it.
"""

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

from harness.api import prompt_with
from harness.cli.completing import complete_spec
from harness.cli.training import (
    claim,
    config_option,
    is_first,
    output_option,
    read_settings,
    resume_option,
    show_progress,
)
from harness.errors import UserError
from harness.run.training_data import data_hash, feed

if TYPE_CHECKING:
    from gist.training.options import Setting


class _TrainingCommand(click.Command):
    """A command with an option for each field of the configuration that has a help text.

    They are read when the command is named, since the command line imports `gist` no sooner.
    """

    @property
    def params(self) -> list[click.Parameter]:
        """The options of the function, then those of the configuration."""
        from gist.training.configuration import TrainingConfiguration
        from gist.training.options import settings_of

        if not any(option.name == "model" for option in self._params):
            settings = settings_of(TrainingConfiguration)
            self._params += [_option(setting) for setting in settings if setting.option.help]
        return self._params

    @params.setter
    def params(self, given: list[click.Parameter]) -> None:
        self._params = given


def _option(setting: "Setting") -> click.Option:
    kinds = [kind for kind in get_args(setting.kind) if kind not in (NoneType, ...)]
    literal, several = (get_origin(setting.kind) is kind for kind in (Literal, tuple))
    kind = kinds[0] if kinds and not literal else setting.kind
    flag = setting.option.flag or "--" + setting.name.replace("_", "-")
    return click.Option(
        [flag, setting.name],
        type=click.Choice(kinds) if literal else None if kind is bool else kind,
        is_flag=kind is bool,
        multiple=several,
        default=None,
        help=setting.option.help,
    )


@click.command(name="train-gist", cls=_TrainingCommand)
@click.option(
    "--data",
    multiple=True,
    metavar="FILE",
    help="Contexts and questions as the suite qa reads them: JSONL, or PREFIX:FILE.",
)
@click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="SPEC",
    shell_complete=complete_spec,
    help="e.g. qa,split=train",
)
@click.option(
    "--source",
    "files",
    multiple=True,
    metavar="NAME=FILE",
    help="Where the file of a source in FILE.yaml lies: squad=dev-v1.1.json",
)
@output_option
@config_option
@click.option("--dry-run", is_flag=True, help="Show the memory and time of a step; do not train.")
@click.option("--memory-limit-gib", type=float, help="Dry run: the GPU memory to simulate, in GiB.")
@resume_option
def command(
    *,
    data: tuple[str, ...],
    suites: tuple[str, ...],
    files: tuple[str, ...],
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
    settings = read_settings(config, given, data, suites, files)
    if dry_run:
        _show_dry_run(settings, memory_limit_gib)
        return
    folder = train_on(settings, output=claim(output, resume=resume), resume=resume)
    if is_first():
        click.echo(folder)
        click.echo(next_command(folder, sys.argv[1:], settings), err=True)


def next_command(folder: Path, typed: Sequence[str], settings: Mapping[str, Any]) -> str:
    """Return what to do with an adapter: compare it, or train it longer where it is of no use yet.

    Args:
        folder: of the adapter.
        typed: the words of the command that trained it, the program's name left out.
        settings: of the training.
    """
    from gist.checkpoint import read_card
    from gist.training.heldout import USED

    found = read_card(folder).training.get("verdict", USED)
    if found == USED:
        model = ["--model", str(settings["model"])] if "model" in settings else []
        ways = ["--backend", "full", "--backend", f"gist,checkpoint={folder}", "--controls"]
        return f"Next: {shlex.join(['gist-bench', 'run', '--suite', 'qa', *model, *ways])}"
    words = list(typed)
    for option in ("--output", "--init-adapter"):
        while option in words:
            at = words.index(option)
            del words[at : at + 2]
    words = [word for word in words if word != "--resume"]
    more = ["--init-adapter", str(folder), "--output", f"{folder.parent}-longer"]
    return f"Train longer: {shlex.join(['gist-bench', *words, *more])}"


def train_on(settings: Mapping[str, Any], *, output: Path, resume: bool) -> Path:
    """Train an adapter with the settings of a YAML file, and return its folder.

    Raises:
        UserError: a setting is wrong, or there is nothing to train on.
    """
    from gist.training.base_model import load_base
    from gist.training.configuration import read_configuration
    from gist.training.recipe import train_adapter

    configuration = read_configuration(settings)
    sources = configuration.sources
    if not sources:
        raise UserError("there is nothing to train on. Give --data FILE.jsonl or --suite SPEC.")
    show_progress()
    lm = load_base(configuration.base, prompt_with(configuration.base.shots))
    hold = math.ceil(configuration.evaluation.eval_contexts / len(sources))
    share = configuration.curriculum.unanswerable
    feeds = {
        name: feed(text, lm.tokenizer, hold=hold, unanswerable=share)
        for name, text in sources.items()
    }
    about: dict[str, Any] = {"sources": dict(sources), "data_hash": data_hash(sources)}
    if share:
        about["unanswerable"] = share
    return train_adapter(
        lm,
        feeds,
        configuration,
        output=output,
        resume=resume,
        data=about,
    )


def _show_dry_run(settings: Mapping[str, Any], memory_limit_gib: float | None) -> None:
    """Print what a step takes at several lengths; the model may be a bare shape."""
    from gist.training.base_model import load_base
    from gist.training.configuration import read_configuration
    from gist.training.dry_run_table import dry_run_table
    from harness.run.environment import environment

    configuration = read_configuration(settings)
    lm = load_base(configuration.base, prompt_with(configuration.base.shots), shapes=True)
    device = "cpu" if lm.device == "meta" else str(lm.model.device)
    processor = environment(device)["processor"]
    click.echo(
        dry_run_table(lm, configuration, processor=processor, memory_limit_gib=memory_limit_gib)
    )
