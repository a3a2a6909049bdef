"""`gist-bench make-qa`: contexts with questions and answers from a person's own documents."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import documents_model_option

if TYPE_CHECKING:
    from harness.makeqa.pipeline import Totals


@click.command(name="make-qa")
@click.argument(
    "paths", metavar="DOCS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--teacher",
    metavar="T",
    required=True,
    help="Who writes the questions: rules (no model), hf:NAME, a folder or http://host:port/v1#model.",
)
@click.option(
    "--out",
    metavar="FILE.jsonl",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The data; a log of what was dropped is written beside it.",
)
@click.option(
    "--test-out",
    metavar="FILE.jsonl",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Hold some documents out, and write their data here.",
)
@click.option(
    "--test-share",
    metavar="X",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the documents that go to --test-out; no document is divided.",
)
@documents_model_option
@click.option(
    "--min-tokens",
    metavar="N",
    type=click.IntRange(min=1),
    help="Default: 2048, or half of --max-tokens.",
)
@click.option(
    "--max-tokens",
    metavar="N",
    type=click.IntRange(min=2),
    help="Of a context. Default: 8192, or as many as the model has positions for.",
)
@click.option(
    "--questions",
    metavar="N",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Questions about each context: lookup, global, reasoning and unanswerable in turn.",
)
@click.option(
    "--no-closed-book-filter",
    is_flag=True,
    help="Keep the questions that the model answers without the document.",
)
@click.option(
    "--key-env",
    metavar="NAME",
    help="Environment variable with the key of a server. Default: OPENAI_API_KEY, if it is set.",
)
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Requests that a server gets at the same time.",
)
@click.option("--device", metavar="D", help="cpu, cuda or mps. Default: cuda if there is one.")
@click.option("--load-in-4bit", is_flag=True, help="NF4 weights, of the model and a local teacher.")
@click.option("--seed", metavar="S", type=int, default=0, show_default=True, help="Decides draws.")
@click.option("--restart", is_flag=True, help="Drop what an earlier run has left in the files.")
def command(*, paths: tuple[Path, ...], **given: Any) -> None:
    """Make questions with answers from your own documents.

    Documents are cut into contexts, and a teacher writes questions about each. A question is
    dropped if its supporting sentences are not in the text, or if the model answers it without
    the document. The same command continues where an earlier one was stopped.

    \b
    Examples:
      gist-bench make-qa notes/ report.pdf --teacher rules --out qa.jsonl
      gist-bench make-qa docs/ --teacher http://localhost:8000/v1#my-model --out train.jsonl
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.makeqa.job import Options, make_qa
    from harness.makeqa.summary import summary

    try:
        made = make_qa(paths, Options(**given), notify=_print_notice, progress=_progress)
    except KeyboardInterrupt:
        click.echo("\nWhat is done is kept: the same command goes on from there.", err=True)
        raise
    click.echo(summary(made))
    if made.totals.silent or not made.totals.questions:
        raise click.exceptions.Exit(1)


def _print_notice(notice: str) -> None:
    click.echo(notice, err=True)


@contextmanager
def _progress(total: int, done: int) -> "Iterator[Callable[[Totals], object]]":
    """Show contexts done, and the questions kept and dropped, where stderr is a terminal."""
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit=" contexts", disable=None) as bar:

        def report(totals: "Totals") -> None:
            dropped = sum(totals.dropped.values())
            bar.set_postfix_str(f"{totals.questions} kept, {dropped} dropped", refresh=False)
            bar.update()

        yield report
