"""`gist-bench list`: the backends and suites that are installed, with their options."""

import click


@click.command(name="list")
@click.option("--metrics", is_flag=True, help="List what every figure means instead.")
@click.option("--data", is_flag=True, help="List the data sets that data=PREFIX:FILE reads.")
def command(*, metrics: bool, data: bool) -> None:
    """List backends and suites with their options and metrics.

    \b
    Examples:
      gist-bench list
      gist-bench list --metrics
      gist-bench list --data
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.report import listing

    if metrics:
        text = listing.metrics()
    else:
        text = listing.data_sets() if data else listing.backends_and_suites()
    click.echo(text, nl=False)
