"""`gist-bench compress`: a document as a gist file, or a folder of them as a gist store."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from harness.api import Source
from harness.cli.options import PATH, chroma_option, documents_model_options, load
from harness.errors import ContextTooLong, UserError, printable
from harness.makeqa.readers import Skipped, read_document, read_documents
from harness.run import plugins

LONG = "Give --window-tokens 2048 to compress it in parts."


@click.command(name="compress")
@click.argument("source", metavar="FILE|FOLDER", type=PATH)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=PATH,
    required=True,
    help="The gist file of a document, or the folder of a store.",
)
@documents_model_options
@click.option(
    "--checkpoint",
    metavar="DIR",
    type=PATH,
    help="The gist adapter. Default: the one that belongs to the model.",
)
@click.option("--tokens", metavar="N", type=click.IntRange(min=1), help="Gist tokens per document.")
@click.option(
    "--ratio",
    metavar="R",
    type=click.FloatRange(min=1),
    help="Document tokens per gist token, instead of --tokens. Default: 16.",
)
@click.option(
    "--window-tokens",
    metavar="N",
    type=click.IntRange(min=32),
    help="Compress documents longer than this in windows of N tokens.",
)
@click.option(
    "--embedder",
    metavar="E",
    default="auto",
    show_default=True,
    help="For a store: the embedder that finds the document for a question.",
)
@chroma_option
@click.option("--force", is_flag=True, help="Overwrite the file, or compress every document anew.")
def command(
    *,
    source: Path,
    output: Path,
    model_name: str,
    checkpoint: Path | None,
    tokens: int | None,
    ratio: float | None,
    window_tokens: int | None,
    embedder: str,
    chroma: str | None,
    force: bool,
    **loading: Any,
) -> None:
    """Compress a document into a gist file, or the documents of a folder into a store.

    gist-bench ask answers from either. A store is brought up to date by the same command: documents
    that have not changed are left as they are, those that are gone are dropped.

    \b
    Examples:
      gist-bench compress doc.txt -o doc.gist
      gist-bench compress book.txt -o book.gist --window-tokens 2048 --ratio 8
      gist-bench compress notes -o notes.gists
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    if tokens is not None and ratio is not None:
        raise UserError("--tokens and --ratio say the same thing twice; give one of them.")
    _check_output(source, output, force=force)
    text = None if source.is_dir() else read_document(source)  # before the model is loaded
    model = load(model_name, **loading)
    options = {
        "checkpoint": checkpoint,
        "tokens": tokens,
        "ratio": ratio,
        "window_tokens": window_tokens,
    }
    if text is not None:
        with closing(plugins.load(plugins.STORES, "file")(model, **options)) as files:
            _write(files, source, text, output, force=force)
        return
    store = plugins.load(plugins.STORES, "folder")(
        model, output, embedder=embedder, chroma=chroma, **options
    )
    with closing(store):
        failed = _fill(store, source, force=force)
    if failed:
        raise click.exceptions.Exit(1)


def _check_output(source: Path, output: Path, *, force: bool) -> None:
    from gist.gistfile import check_absent

    if not source.is_dir():
        check_absent(output, force=force)
    elif output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file. Give a folder for the store of {source}.")
    elif output.resolve().is_relative_to(source.resolve()):
        raise UserError(
            f"{output} is inside {source}, whose files it would be. Give another place."
        )


def _write(files: Any, source: Path, text: str, output: Path, *, force: bool) -> None:
    """Write one gist file and say what it is."""
    try:
        manifest = files.write(_source(source, source.name, text), output, force=force)
    except ContextTooLong as error:
        raise UserError(f"{source}: {error}. {LONG}") from error
    click.echo(
        f"{output}: {manifest.context_tokens} tokens in {manifest.gists} gists, "
        f"{manifest.context_tokens / manifest.gists:.1f}x, {output.stat().st_size / 1024:.0f} KiB"
    )


def _fill(store: Any, folder: Path, *, force: bool) -> bool:
    """Bring a store up to date, say what became of each document; return whether one failed."""
    skipped: list[Skipped] = []

    def sources() -> Iterator[Source]:
        for document in read_documents([folder]):
            if isinstance(document, Skipped):
                skipped.append(document)
                continue
            path = Path(document.source)
            yield _source(path, path.relative_to(folder).as_posix(), document.text)

    counts: Counter[str] = Counter()
    for change in store.update(sources(), force=force):
        counts[change.what] += 1
        if change.what != "unchanged":
            why = f": {change.detail}" if change.detail else ""
            click.echo(f"{change.what} {printable(change.name)}{why}")
    for document in skipped:
        click.echo(f"skipped {printable(document.source)}: {document.reason}", err=True)
    click.echo(", ".join(f"{count} {what}" for what, count in counts.items()) or "no documents")
    return bool(counts["failed"])


def _source(path: Path, name: str, text: str) -> Source:
    data = path.read_bytes()
    return Source(name, text, hashlib.sha256(data).hexdigest(), len(data))
