"""`gist-bench ask`: questions to a gist file, or to a gist store."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from harness.cli.options import PATH, chroma_option, device_option, load, warn_of_reading
from harness.errors import SampleError, UserError, printable
from harness.run import plugins
from harness.text import encodable

Ask = Callable[[str], str]

PROMPT = "? "


@click.command(name="ask")
@click.argument("target", metavar="FILE.gist|STORE", type=PATH)
@click.argument("question", required=False)
@click.option("--model", "model_name", metavar="M", help="Default: the one that the file names.")
@click.option(
    "--checkpoint",
    metavar="DIR",
    type=PATH,
    help="The gist adapter. Default: the one that the file names.",
)
@device_option
@click.option(
    "--max-new-tokens",
    metavar="N",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Longest answer.",
)
@click.option(
    "--held-bytes",
    metavar="B",
    type=click.IntRange(min=0),
    default=2**30,
    show_default=True,
    help="For a store: bytes of documents kept in memory between questions.",
)
@chroma_option
def command(
    *,
    target: Path,
    question: str | None,
    model_name: str | None,
    checkpoint: Path | None,
    device: str | None,
    max_new_tokens: int,
    held_bytes: int,
    chroma: str | None,
) -> None:
    """Answer a question from gists; without one, read questions line by line.

    A file works only with the model and adapter that made it. A store answers
    from one document, and names it on stderr.

    \b
    Examples:
      gist-bench ask doc.gist "Who rents the flat?"
      gist-bench ask notes.gists
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    if question is not None and not question.strip():
        raise UserError("the question is empty. Leave it out to be asked for questions.")
    folder: Any = plugins.load(plugins.STORES, "folder") if target.is_dir() else None
    made = folder.read_manifest(target) if folder else _read_header(target)
    adapter = checkpoint or (Path(made["checkpoint"]) if made["checkpoint"] else None)
    model = load(
        model_name or warn_of_reading(made["model"]),
        device=device,
        dtype=made["dtype"],
        load_in_4bit=bool(made["load_in_4bit"]),
        shots=_shots_of(adapter, made["base_fingerprint"]),
    )
    if folder:
        store = folder(
            model,
            target,
            checkpoint=adapter,
            embedder=made["embedder"],
            held_bytes=held_bytes,
            chroma=chroma,
        )
        with closing(store):
            _answer(_from_store(store, max_new_tokens), question)
        return
    with closing(plugins.load(plugins.STORES, "file")(model, checkpoint=adapter)) as files:
        _answer(_from_file(files.open(target), max_new_tokens), question)


def _shots_of(adapter: Path | None, fingerprint: str) -> int:
    """Return with how many worked examples an adapter was trained, so a file was made with them."""
    from gist.checkpoint import read_card, shipped_adapter

    folder = adapter or shipped_adapter(fingerprint)
    return read_card(folder).shots if folder else 0


def _read_header(path: Path) -> Mapping[str, Any]:
    from dataclasses import asdict

    from gist.gistheader import read_manifest

    return asdict(read_manifest(path))


def _from_file(context: Any, max_new_tokens: int) -> Ask:
    def ask(question: str) -> str:
        (answer,) = context.generate([question], max_new_tokens=max_new_tokens)
        return str(answer.text)

    return ask


def _from_store(store: Any, max_new_tokens: int) -> Ask:
    def ask(question: str) -> str:
        answer = store.ask(question, max_new_tokens=max_new_tokens)
        click.echo(f"from {answer.document}", err=True)
        return str(answer.generation.text)

    return ask


def _answer(ask: Ask, question: str | None) -> None:
    """Print the answer to a question, or to each one that is typed."""
    if question is not None:
        click.echo(ask(encodable(question)))
        return
    for line in _lines():
        try:
            click.echo(ask(encodable(line)))
        except (UserError, SampleError) as error:  # the next question may be a better one
            click.echo(f"gist-bench: error: {printable(error)}", err=True)


def _lines() -> Iterator[str]:
    """Yield questions from stdin, typed ones with a prompt, until it ends or is interrupted."""
    if not sys.stdin.isatty():
        for line in sys.stdin:
            if line.strip():
                yield line.strip()
        return
    import readline  # noqa: F401 - input() edits lines with it

    while True:
        try:
            line = input(PROMPT).strip()
        except (EOFError, KeyboardInterrupt):
            click.echo(err=True)
            return
        if line:
            yield line
