"""`gist-bench rescore`: the metrics of a run anew from its stored answers."""

import shlex
import sys
from pathlib import Path

import click

from harness.cli.options import PATH


@click.command(name="rescore")
@click.argument("run", metavar="RUNDIR", type=PATH)
@click.option(
    "-o",
    "--output",
    metavar="NEWDIR",
    type=PATH,
    help="The new run folder. Default: a folder beside RUNDIR, named by a hash.",
)
def command(*, run: Path, output: Path | None) -> None:
    """Score the answers of RUNDIR again, without a model, into a new run folder.

    For runs that were scored by an earlier version. Answers, times and memory stay as they are, and
    run.json says which run they are from. Data that a suite names must still be there. Contexts are
    not stored: values that depend on them stay as they were, and are counted.

    \b
    Examples:
      gist-bench rescore results/runs/1f3a5c7e9b2d
      gist-bench rescore results/runs/1f3a5c7e9b2d -o results/runs/rescored
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.run.rescore import rescore

    done = rescore(run, output, command=shlex.join(["gist-bench", *sys.argv[1:]]))
    for notice in done.notices:
        click.echo(notice, err=True)
    click.echo(done.folder)
