"""`gist-bench train-gist` and `gist-bench train-reference`: adapters and the model they belong to.

The options of `train-gist` are the fields of `gist.training.configuration`. Suites become plain
text for `gist`, which knows nothing of benchmarks, and the prompt's pieces are handed to it.
"""

import logging
import math
import os
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

from harness.api import ABSTENTION, PROMPT, prompt_with
from harness.cli.completing import complete_spec
from harness.errors import UserError, reading
from harness.run.spec import Spec
from harness.run.training_data import data_hash, feed, texts

if TYPE_CHECKING:
    from gist.training.options import Setting

CORPUS_SAMPLES = 3000  # samples of each source that the reference tokenizer is fitted on

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
    help="Options, sources and stages. Options on the command line take precedence.",
)
_resume = click.option("--resume", is_flag=True, help="Resume from the newest checkpoint in DIR.")


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
@_output
@_config
@click.option("--dry-run", is_flag=True, help="Show the memory and time of a step; do not train.")
@click.option("--memory-limit-gib", type=float, help="Dry run: the GPU memory to simulate, in GiB.")
@_resume
def train_gist(
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
    settings = _settings(config, given, data, suites, files)
    if dry_run:
        _show_dry_run(settings, memory_limit_gib)
        return
    folder = train_on(settings, output=_claim(output, resume=resume), resume=resume)
    if _is_first():
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
    _show_progress()
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


@click.command(name="train-reference")
@_output
@_config
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@_resume
def train_reference(*, output: Path | None, config: Path | None, seed: int, resume: bool) -> None:
    """Train the reference model from scratch: tokenizer, then weights, by a curriculum.

    \b
    Example:
      gist-bench train-reference --output results/runs/reference-model
    """  # noqa: D301 - click wants the backspace itself
    output = _claim(output, resume=resume)
    from gist.training.model_recipe import CURRICULUM, ModelConfiguration, train_model
    from gist.training.options import read

    _show_progress()
    configuration = read(ModelConfiguration, _settings(config or CURRICULUM, {}))
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


def _is_first() -> bool:
    """Whether this process is the one that speaks and writes, of those torchrun has started."""
    return os.environ.get("RANK", "0") == "0"


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


def _claim(output: Path | None, *, resume: bool) -> Path:
    """Refuse a folder that exists, unless training goes on in it."""
    if output is None:
        raise UserError("--output is missing. Give a new folder for the result: --output DIR.")
    if resume and not output.is_dir():
        raise UserError(f"{output} does not exist, so nothing can be resumed. Leave --resume out.")
    if not resume and output.exists() and _is_first():
        raise UserError(f"{output} exists. Give another --output, or --resume to go on in it.")
    return output


def _settings(
    config: Path | None,
    given: Mapping[str, Any],
    data: Sequence[str] = (),
    suites: Sequence[str] = (),
    files: Sequence[str] = (),
) -> dict[str, Any]:
    """Read the YAML file; what the command line gave wins, and its data come besides."""
    import yaml

    settings: dict[str, Any] = {}
    if config is not None:
        with reading(config, fault="is no YAML"):
            found = yaml.safe_load(config.read_text(encoding="utf-8"))
        if not (isinstance(found, dict) and all(isinstance(name, str) for name in found)):
            raise UserError(f"{config} must hold options, as name: value. See gist/reference.")
        settings = found
        if not isinstance(settings.get("sources", {}), dict):
            raise UserError(f"sources in {config} must be options, as name: suite,option=value.")
    settings |= {name: value for name, value in given.items() if value not in (None, ())}
    named = {Path(path).stem: str(Spec("qa", {"data": path})) for path in data}
    named |= {text: text for text in suites}
    if named:
        settings["sources"] = {**settings.get("sources", {}), **named}
    for text in files:
        name, _, file = text.partition("=")
        sources = settings.get("sources", {})
        if name not in sources or not file:
            raise UserError(f"--source {text} must be NAME=FILE. Sources: {', '.join(sources)}.")
        settings["sources"] = {**sources, name: _with_file(sources[name], file)}
    return settings


def _with_file(source: str, file: str) -> str:
    """Return the spec of a source with the path in its option `data` replaced."""
    spec = Spec.parse(source)
    prefix, colon, _ = spec.options.get("data", "").partition(":")
    return str(
        Spec(spec.name, {**spec.options, "data": f"{prefix}{colon}{file}" if colon else file})
    )


def _show_progress() -> None:
    """Show the steps, and not what the libraries have to say to each other."""
    logging.getLogger("gist").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
