"""`gist-bench export`: the records of a run in the files of another tool."""

from pathlib import Path

import click

from harness.cli.options import PATH


@click.command(name="export")
@click.argument("run", metavar="RUN", type=PATH)
@click.option(
    "--to",
    "tool",
    type=click.Choice(["kvpress", "lm-eval"]),
    required=True,
    help="The tool whose files are written.",
)
@click.option("-o", "--output", metavar="DIR", type=PATH, required=True, help="The new folder.")
def command(*, run: Path, tool: str, output: Path) -> None:
    """Write the answers of RUN in the files of another tool, and print what to import.

    Each suite with each backend is an evaluation of its own. kvpress's files hold no scores.

    \b
    Examples:
      gist-bench export results/runs/1a2b3c4d5e6f --to lm-eval -o exported
      gist-bench export results/runs/1a2b3c4d5e6f --to kvpress -o exported
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.imports.export import export

    for path in export(run, output, tool):
        click.echo(path)
