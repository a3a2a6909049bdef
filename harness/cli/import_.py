"""`gist-bench import`: predictions of other tools as a run folder."""

import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.imports.imported import Imported, Names


def _names(command: Callable[..., None]) -> Callable[..., None]:
    """Add the argument and the options that every tool's command has."""
    for option in reversed(
        (
            click.argument("path", metavar="FILE", type=click.Path(path_type=Path)),
            click.option(
                "-o",
                "--output",
                metavar="RUNDIR",
                type=click.Path(path_type=Path),
                help="A new run folder. Default: results/runs/imported-HASH.",
            ),
            click.option("--suite", default="", help="What tables call the questions."),
            click.option("--backend", default="", help="What tables call the backend, e.g. full."),
            click.option("--model", default="", help="The model's name, if no file has it."),
        )
    ):
        command = option(command)
    return command


@click.group(name="import")
def command() -> None:
    """Turn predictions of another tool into a run folder for gist-bench report.

    What the other tool did not write down stays empty: tokens, times, memory.

    \b
    Examples:
      gist-bench import kvpress results/ruler__snapkv/predictions.csv -o results/runs/snapkv
      gist-bench import lm-eval samples_squadv2_2026-01-31T10-00-00.jsonl
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it


@command.command(name="kvpress")
@_names
def kvpress(*, path: Path, output: Path | None, **names: str) -> None:
    """Import FILE, a predictions.csv of kvpress, or its folder.

    Its config.yaml names data set, press and model. Answers are scored here: those of RULER's tasks
    by RULER's string match, all others by SQuAD's F1 and exact match.

    \b
    Examples:
      gist-bench import kvpress results/ruler__snapkv/predictions.csv -o results/runs/snapkv
      gist-bench import kvpress results/ruler__no_press --backend full -o results/runs/full
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.imports import kvpress as reader
    from harness.run.plugins import load_layout

    _write(partial(reader.read, layouts=load_layout), path, output, names)


@command.command(name="lm-eval")
@click.option("--filter", "only", metavar="NAME", help="The filter whose scores count.")
@_names
def lm_eval(*, path: Path, output: Path | None, only: str | None, **names: str) -> None:
    """Import FILE, a samples_TASK_DATE.jsonl of lm-eval --log_samples.

    results_DATE.json beside it names the model. Scores are those of lm-eval; scores that are
    not between 0 and 1 are left out.

    \b
    Examples:
      gist-bench import lm-eval samples_squadv2_2026-01-31T10-00-00.jsonl -o results/runs/squad
      gist-bench import lm-eval samples.jsonl --model gpt2 --filter strict-match
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.imports import lm_eval as reader

    _write(partial(reader.read, only=only), path, output, names)


def _write(
    read: "Callable[[Path, Names], Imported]",
    path: Path,
    output: Path | None,
    names: dict[str, str],
) -> None:
    from harness.imports.folder import write
    from harness.imports.imported import Names

    imported = read(path, Names(**names))
    typed = shlex.join(["gist-bench", *sys.argv[1:]])
    click.echo(write(imported, path, output, command=typed))
