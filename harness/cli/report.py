"""`gist-bench report`: tables, a page or pictures from the rows of finished runs."""

from pathlib import Path

import click

from harness.cli.options import PATH, has_colours, headline_option, terminal_width
from harness.errors import UserError
from harness.files import write_whole


@click.command(name="report")
@click.argument("paths", nargs=-1, metavar="PATH...", type=PATH)
@click.option("--markdown", is_flag=True, help="Print Markdown pipe tables.")
@click.option(
    "--brief",
    is_flag=True,
    help="Print only results: the verdict, answers and costs, and the checks in one line.",
)
@click.option(
    "--update",
    "readme",
    metavar="FILE",
    type=PATH,
    help="Rewrite the tables between the markers of a Markdown file.",
)
@click.option("--check", is_flag=True, help="With --update: write nothing, exit 1 if stale.")
@click.option(
    "--html",
    "page",
    metavar="FILE",
    type=PATH,
    help="Write one HTML page with everything.",
)
@click.option(
    "--plots",
    metavar="DIR",
    type=PATH,
    help="Write the pictures of that page: PNG and SVG.",
)
@headline_option
def command(
    paths: tuple[Path, ...],
    *,
    markdown: bool,
    brief: bool,
    readme: Path | None,
    check: bool,
    page: Path | None,
    plots: Path | None,
    headline: str,
) -> None:
    """Print the tables of runs: run folders, folders of run folders, or records.csv files.

    With --html or --plots, tables are printed only if --markdown or --brief is given too.

    \b
    Examples:
      gist-bench report results/runs
      gist-bench report results/runs/qa-1f3a --markdown
      gist-bench report results/runs --html report.html
      gist-bench report --update README.md
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    if (readme is None) == (not paths):
        raise click.UsageError("Give PATH... to report, or --update FILE, not both.")
    if readme is not None:
        if page or plots or headline:
            raise click.UsageError(
                "--html, --plots and --headline go with PATH..., not with --update."
            )
        _update(readme, check=check)
        return
    if check:
        raise click.UsageError("--check goes with --update FILE.")
    if page or plots:
        _draw(paths, page, plots, headline=headline)
    if markdown or brief or not (page or plots):
        from harness.report.render import render

        colour = has_colours()
        options = {"markdown": markdown, "brief": brief, "colour": colour}
        text = render(paths, **options, headline=headline, width=terminal_width())
        click.echo(text, nl=False, color=colour)


def _draw(paths: tuple[Path, ...], page: Path | None, plots: Path | None, *, headline: str) -> None:
    """Write the page, the pictures or both."""
    if page is not None and page.is_dir():
        raise UserError(f"--html {page} is a folder. Give a file, such as {page / 'report.html'}.")
    if plots is not None and plots.exists() and not plots.is_dir():
        raise UserError(f"--plots {plots} is a file. Give a folder.")
    from harness.run.rows import read_rows

    rows = read_rows(paths, answers=page is not None, headline=headline)
    if page is not None:
        from harness.report.html.page import make_page

        text = make_page(rows)
        page.parent.mkdir(parents=True, exist_ok=True)
        write_whole(page, text)
        click.echo(f"{page}: open it in a browser.", err=True)
    if plots is not None:
        from harness.report.plots.files import save_plots

        click.echo(f"{plots}: {len(save_plots(rows, plots))} files.", err=True)


def _update(file: Path, *, check: bool) -> None:
    from harness.report.render import regenerated

    text = regenerated(file)
    if text == file.read_text(encoding="utf-8"):
        click.echo(f"{file} is up to date.", err=True)
    elif check:
        click.echo(f"{file} is stale. Run: gist-bench report --update {file}", err=True)
        raise click.exceptions.Exit(1)
    else:
        write_whole(file, text)
        click.echo(f"{file} has new tables.", err=True)
