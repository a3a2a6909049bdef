"""`gist-bench make-qa`: contexts with questions and answers from a person's own documents."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    PATH,
    device_option,
    documents_model_option,
    seed_option,
    shots_option,
)
from harness.errors import printable

if TYPE_CHECKING:
    from harness.makeqa.pipeline import Totals


_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(name="make-qa")
@click.argument("paths", metavar="DOCS...", nargs=-1, required=True, type=PATH)
@click.option(
    "--teacher",
    metavar="T",
    required=True,
    help="What writes the questions: rules (no model), hf:NAME, a model's folder, or "
    "http://host:port/v1#model.",
)
@click.option(
    "--out",
    metavar="FILE.jsonl",
    required=True,
    type=_FILE,
    help="The questions. A log of dropped questions is written beside it.",
)
@click.option(
    "--test-out",
    metavar="FILE.jsonl",
    type=_FILE,
    help="Hold out some documents as test data, and write their questions here.",
)
@click.option(
    "--test-share",
    metavar="X",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Fraction of the documents that is held out for --test-out. Documents are kept whole.",
)
@documents_model_option
@click.option(
    "--min-tokens",
    metavar="N",
    type=click.IntRange(min=1),
    help="Shortest context. Default: 64; shorter documents are left out.",
)
@click.option(
    "--max-tokens",
    metavar="N",
    type=click.IntRange(min=2),
    help="Longest context. Default: 8192, or less if the model has fewer positions.",
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
    help="Keep questions that the model answers without the document.",
)
@click.option(
    "--key-env",
    metavar="NAME",
    help="Environment variable that holds the server's API key. Default: OPENAI_API_KEY, which is "
    "sent over https or to this machine only.",
)
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Concurrent requests to a server.",
)
@device_option
@click.option("--load-in-4bit", is_flag=True, help="NF4 weights, of the model and a local teacher.")
@shots_option
@seed_option
@click.option("--restart", is_flag=True, help="Delete what an earlier run wrote, and start over.")
def command(*, paths: tuple[Path, ...], **given: Any) -> None:
    """Make questions and answers from your own documents.

    Documents are cut into contexts, and a teacher writes questions about each context. A question
    is dropped if its supporting sentences are not in the text, or if the model answers it without
    the document. Give the same command again to resume a run that was stopped.

    \b
    Examples:
      gist-bench make-qa notes/ report.pdf --teacher rules --out qa.jsonl
      gist-bench make-qa docs/ --teacher http://localhost:8000/v1#my-model --out train.jsonl
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.makeqa.job import Options, make_qa
    from harness.makeqa.summary import summary

    made = make_qa(paths, Options(**given), notify=_print_notice, progress=progress)
    click.echo(summary(made))
    if made.totals.silent or made.empty:
        raise click.exceptions.Exit(1)


def _print_notice(notice: str) -> None:
    click.echo(printable(notice), err=True)


@contextmanager
def progress(total: int, done: int) -> "Iterator[Callable[[Totals], object]]":
    """Show contexts done, and the questions kept and dropped, where stderr is a terminal."""
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit=" contexts", disable=None) as bar:

        def report(totals: "Totals") -> None:
            dropped = sum(totals.dropped.values())
            bar.set_postfix_str(f"{totals.questions} kept, {dropped} dropped", refresh=False)
            bar.update()

        yield report
