"""`gist-bench report`: tables from the rows of finished runs."""

import shutil
from pathlib import Path

import click


@click.command(name="report")
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--markdown", is_flag=True, help="Print Markdown pipe tables.")
@click.option("--brief", is_flag=True, help="Print answers and costs only.")
@click.option(
    "--update",
    "readme",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Make the tables between the markers of a Markdown file anew.",
)
@click.option("--check", is_flag=True, help="With --update: write nothing, exit 1 if stale.")
def command(
    paths: tuple[Path, ...], *, markdown: bool, brief: bool, readme: Path | None, check: bool
) -> None:
    """Print tables for run folders, folders of them, or records.csv files.

    \b
    Examples:
      gist-bench report results/runs
      gist-bench report results/runs/qa-1f3a --markdown
      gist-bench report --update README.md
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    if (readme is None) == (not paths):
        raise click.UsageError("Give PATH... to report, or --update FILE, not both.")
    if readme is not None:
        _update(readme, check=check)
        return
    if check:
        raise click.UsageError("--check goes with --update FILE.")
    from harness.report import render

    width = shutil.get_terminal_size((110, 24)).columns
    click.echo(render(paths, markdown=markdown, brief=brief, width=width), nl=False)


def _update(file: Path, *, check: bool) -> None:
    from harness.report import regenerated

    text = regenerated(file)
    if text == file.read_text(encoding="utf-8"):
        click.echo(f"{file} is up to date.", err=True)
    elif check:
        click.echo(f"{file} is stale. Run: gist-bench report --update {file}", err=True)
        raise click.exceptions.Exit(1)
    else:
        file.write_text(text, encoding="utf-8")
        click.echo(f"{file} has new tables.", err=True)
