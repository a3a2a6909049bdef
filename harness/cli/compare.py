"""`gist-bench compare`: two runs on the same data, and gates for CI."""

import shutil
from pathlib import Path

import click


@click.command(name="compare")
@click.argument("base", metavar="BASE", type=click.Path(path_type=Path))
@click.argument("new", metavar="NEW", type=click.Path(path_type=Path))
@click.option(
    "--fail-on",
    metavar="GATE",
    multiple=True,
    help="Exit 1 if a figure got worse than this for certain, as 'exact_match<-0.02' or "
    "'held_bytes>+1%'. Give it again for more.",
)
@click.option("--markdown", is_flag=True, help="Print Markdown, for a comment on a pull request.")
def command(base: Path, new: Path, *, fail_on: tuple[str, ...], markdown: bool) -> None:
    """Say what changed from run BASE to run NEW, question by question.

    Both are run folders or their records.csv, on the same data. A gate fails where the whole
    interval of the paired change lies beyond its tolerance. Exit code: 0 all gates hold, 1 one
    fails, 2 the runs do not compare or a gate could be judged nowhere.

    \b
    Examples:
      gist-bench compare results/runs/1f3a results/runs/9c20
      gist-bench compare BASE NEW --fail-on 'exact_match<-0.02' --fail-on 'held_bytes>+1%'
      gist-bench compare BASE NEW --fail-on 'decode_tokens_per_s<-10%' --markdown
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.compare.comparison import WIDTH, compare

    width = shutil.get_terminal_size((WIDTH, 24)).columns
    done = compare(base, new, fail_on=fail_on, markdown=markdown, width=width)
    click.echo(done.text, nl=False)
    if done.exit_code:
        raise click.exceptions.Exit(done.exit_code)
