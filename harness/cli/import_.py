"""`gist-bench import`: predictions of other tools as a run folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import PATH, typed_command

if TYPE_CHECKING:
    from harness.imports.imported import Imported, Names


def _names(command: Callable[..., None]) -> Callable[..., None]:
    """Add the argument and the options that every tool's command has."""
    for option in reversed(
        (
            click.argument("path", metavar="FILE", type=PATH),
            click.option(
                "-o",
                "--output",
                metavar="RUNDIR",
                type=PATH,
                help="The new run folder. Default: results/runs/imported-HASH.",
            ),
            click.option("--suite", default="", help="Name of the suite in the tables."),
            click.option("--backend", default="", help="Name of the backend in the tables: full."),
            click.option("--model", default="", help="Name of the model, if no file gives it."),
        )
    ):
        command = option(command)
    return command


@click.group(name="import")
def command() -> None:
    """Turn predictions of another tool into a run folder for gist-bench report.

    Columns that the other tool does not record (tokens, times, memory) stay empty.

    \b
    Examples:
      gist-bench import kvpress results/ruler__snapkv/predictions.csv -o results/runs/snapkv
      gist-bench import lm-eval samples_squadv2_2026-01-31T10-00-00.jsonl
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it


@command.command(name="kvpress")
@_names
def kvpress(*, path: Path, output: Path | None, **names: str) -> None:
    """Import FILE, a predictions.csv of kvpress, or its folder.

    Its config.yaml names the data set, the press and the model. The answers are scored anew: tasks
    of RULER and LongBench by their official metrics, multiple choice by the option chosen, all
    others by SQuAD's F1 and exact match.

    \b
    Examples:
      gist-bench import kvpress results/ruler__snapkv/predictions.csv -o results/runs/snapkv
      gist-bench import kvpress results/ruler__no_press --backend full -o results/runs/full
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.imports.kvpress import read

    _write(read, path, output, names)


@command.command(name="lm-eval")
@click.option("--filter", "only", metavar="NAME", help="The filter whose scores are used.")
@_names
def lm_eval(*, path: Path, output: Path | None, only: str | None, **names: str) -> None:
    """Import FILE, a samples_TASK_DATE.jsonl of lm-eval --log_samples.

    The model's name is read from results_DATE.json in the same folder. The scores are those of
    lm-eval; scores that are not between 0 and 1 are left out. Where it scores a task as a whole,
    SQuAD 2.0's for one, the answers are scored here.

    \b
    Examples:
      gist-bench import lm-eval samples_squadv2_2026-01-31T10-00-00.jsonl -o results/runs/squad
      gist-bench import lm-eval samples.jsonl --model gpt2 --filter strict-match
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.imports.lm_eval import read

    _write(partial(read, only=only), path, output, names)


def _write(
    read: "Callable[[Path, Names], Imported]",
    path: Path,
    output: Path | None,
    names: dict[str, str],
) -> None:
    from harness.imports.folder import write
    from harness.imports.imported import Names

    imported = read(path, Names(**names))
    click.echo(write(imported, output, command=typed_command()))
