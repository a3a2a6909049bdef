"""`gist-bench inspect`: what a gist checkpoint says of itself. No weight of it is loaded."""

import shutil
from pathlib import Path

import click

from harness.cli.options import default_adapter


@click.command(name="inspect")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def command(folder: Path | None) -> None:
    """Show what a gist checkpoint was trained on, how, and what came of it.

    DIR is the output folder of train-gist or the adapter in it; by default the reference adapter.

    \b
    Examples:
      gist-bench inspect
      gist-bench inspect my-adapter
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.checks.card import card_text

    width = shutil.get_terminal_size((110, 24)).columns
    click.echo(card_text(folder or default_adapter(), width=width), nl=False)
