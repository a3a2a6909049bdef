"""`gist-bench compare`: two runs on the same data, and gates for CI."""

from pathlib import Path

import click

from harness.cli.options import PATH, headline_option, terminal_width


@click.command(name="compare")
@click.argument("base", metavar="BASE", type=PATH)
@click.argument("new", metavar="NEW", type=PATH)
@click.option(
    "--fail-on",
    metavar="GATE",
    multiple=True,
    help="Exit 1 if a metric got worse by more than this, beyond chance: 'exact_match<-0.02', "
    "'held_bytes>+1%'; '<-0.02' is about the headline. Can be given several times.",
)
@headline_option
@click.option("--markdown", is_flag=True, help="Print Markdown, as for a pull request.")
def command(
    base: Path, new: Path, *, fail_on: tuple[str, ...], headline: str, markdown: bool
) -> None:
    """Show what changed from run BASE to run NEW, question by question.

    Both are run folders or records.csv files on the same data. A gate fails if the paired
    change lies beyond its tolerance and a paired test rules out chance (p < 0.05). Exit codes: 0
    if all gates hold, 1 if one fails, 2 if the runs cannot be compared or a gate could not be
    judged.

    \b
    Examples:
      gist-bench compare results/runs/1f3a results/runs/9c20
      gist-bench compare BASE NEW --fail-on 'exact_match<-0.02' --fail-on 'held_bytes>+1%'
      gist-bench compare BASE NEW --fail-on 'decode_tokens_per_s<-10%' --markdown
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.compare.comparison import WIDTH, compare

    width = terminal_width(WIDTH)
    done = compare(base, new, fail_on=fail_on, headline=headline, markdown=markdown, width=width)
    click.echo(done.text, nl=False)
    if done.exit_code:
        raise click.exceptions.Exit(done.exit_code)
