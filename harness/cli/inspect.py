"""`gist-bench inspect`: what a gist checkpoint says of itself. No weight of it is loaded."""

from pathlib import Path

import click

from harness.cli.options import PATH, default_adapter, terminal_width


@click.command(name="inspect")
@click.argument("folder", metavar="[DIR]", required=False, type=PATH)
def command(folder: Path | None) -> None:
    """Show what a gist checkpoint was trained on, how, and what came of it.

    DIR is the output folder of train-gist or the adapter in it; by default the reference adapter.

    \b
    Examples:
      gist-bench inspect
      gist-bench inspect my-adapter
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.checks.card import card_text

    click.echo(card_text(folder or default_adapter(), width=terminal_width()), nl=False)
