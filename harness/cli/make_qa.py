"""`gist-bench make-qa`: contexts with questions and answers from a person's own documents."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UserError

if TYPE_CHECKING:
    from harness.api import Tokenizer
    from harness.cli.make_qa_models import Models
    from harness.makeqa.cutting import Context, Limits
    from harness.makeqa.pipeline import Totals
    from harness.makeqa.proposals import Proposer
    from harness.readers import Document

LEAST_TOKENS, MOST_TOKENS = 2048, 8192  # of a context, where the model has positions for them
ROOM_TOKENS = 320  # positions for the instruction, a question and its answer
RATIO = 8  # and for gist tokens, one to so many of the context


@click.command(name="make-qa")
@click.argument(
    "paths", metavar="DOCS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--teacher",
    metavar="T",
    required=True,
    help="Who asks: rules (no model), hf:NAME or a folder, or http://host:port/v1#model.",
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
    help="Keep some documents apart, and write their data here.",
)
@click.option(
    "--test-share",
    metavar="X",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the documents that go to --test-out; a document is never divided.",
)
@click.option(
    "--model",
    "model_name",
    metavar="M",
    default="reference",
    show_default=True,
    help="The model that the data is for: its tokens, its positions, what it knows already.",
)
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
    help="Questions to ask for about each context: lookup, global, reasoning, unanswerable.",
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
    help="Requests to a server at the same time.",
)
@click.option("--device", metavar="D", help="cpu, cuda or mps. Default: cuda if there is one.")
@click.option("--load-in-4bit", is_flag=True, help="NF4 weights, of the model and a local teacher.")
@click.option("--seed", metavar="S", type=int, default=0, show_default=True, help="Decides draws.")
@click.option("--restart", is_flag=True, help="Drop what an earlier run has left in the files.")
def command(
    *,
    paths: tuple[Path, ...],
    out: Path,
    test_out: Path | None,
    test_share: float,
    parallel: int,
    restart: bool,
    **given: Any,
) -> None:
    """Make questions with answers from your own documents.

    Documents are cut into contexts; a teacher writes questions about each; those whose proof is not
    in the text are dropped, and so is what the model knows without it. The same command goes on
    where an earlier one was stopped.

    \b
    Examples:
      gist-bench make-qa notes/ report.pdf --teacher rules --out qa.jsonl
      gist-bench make-qa docs/ --teacher http://localhost:8000/v1#my-model --out train.jsonl
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.cli.make_qa_models import Models
    from harness.makeqa.journal import Journal
    from harness.makeqa.pipeline import make, split_documents, wanted_of_each

    options = _Options(**given)
    outputs = _outputs(out, test_out)
    key = _key(options.key_env)
    models = Models(options.device, load_in_4bit=options.load_in_4bit)
    with ExitStack() as stack:
        proposer = _proposer(options, key, models, stack)  # before reading: it may be mistyped
        documents = _read(paths)
        parts = (
            split_documents(documents, test_share, options.seed)
            if test_out
            else dict.fromkeys((document.source for document in documents), "train")
        )
        tokenizer, positions = models.facts(options.model_name)
        limits = _limits(options, positions)
        contexts = _cut(documents, tokenizer, limits)
        settings = _settings(options, documents, limits)
        settings |= {"test_share": test_share, "test_out": test_out.name} if test_out else {}
        journal = stack.enter_context(Journal(outputs, settings))
        finished = journal.open(restart=restart)
        report = stack.enter_context(_progress(len(contexts), len(finished)))
        try:
            totals = make(
                contexts,
                journal,
                proposer=proposer,
                closed_book=(
                    None
                    if options.no_closed_book_filter
                    else models.closed_book(options.model_name)
                ),
                parts=parts,
                wanted=wanted_of_each(options.questions),
                finished=finished,
                parallel=parallel if _is_address(options.teacher) else 1,
                report=report,
            )
        except KeyboardInterrupt:
            click.echo("\nWhat is done is kept: the same command goes on from there.", err=True)
            raise
    click.echo(_summary(totals, outputs, len(documents)))
    if totals.silent or not totals.questions:
        raise click.exceptions.Exit(1)


@dataclass(frozen=True)
class _Options:
    """What decides the questions, apart from the documents."""

    teacher: str
    model_name: str
    min_tokens: int | None
    max_tokens: int | None
    questions: int
    no_closed_book_filter: bool
    seed: int
    key_env: str | None
    device: str | None
    load_in_4bit: bool


def _outputs(out: Path, test_out: Path | None) -> dict[str, Path]:
    outputs = {"train": out} | ({"test": test_out} if test_out else {})
    if test_out and test_out.resolve() == out.resolve():
        raise UserError(f"--out and --test-out are both {out}. Give two files.")
    for path in outputs.values():
        if not path.parent.is_dir():
            raise UserError(f"there is no folder {path.parent}. Make it, or give another file.")
    return outputs


def _key(name: str | None) -> str:
    """Return the key for a server, or nothing; it is never printed."""
    key = os.environ.get(name or "OPENAI_API_KEY", "").strip()
    if name and not key:
        raise UserError(f"the environment variable {name} of --key-env is not set.")
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"the key in {name or 'OPENAI_API_KEY'} has characters that no key has.")
    return key


def _is_address(teacher: str) -> bool:
    return teacher.startswith(("http://", "https://"))


def _proposer(options: _Options, key: str, models: "Models", stack: ExitStack) -> "Proposer":
    """Return the source of questions that --teacher names."""
    from harness.makeqa.asking import Asking
    from harness.makeqa.rules import Rules

    teacher = options.teacher
    if teacher == "rules":
        return Rules(options.seed)
    if _is_address(teacher):
        from harness.makeqa.server import Server

        server = Server(teacher, key, seed=options.seed)
        stack.callback(server.close)
        return Asking(server)
    name = teacher.removeprefix("hf:")
    if name and (name != teacher or Path(name).is_dir()):
        return Asking(models.teacher(name))
    raise UserError(
        f"unknown teacher {teacher!r}. Allowed: rules, hf:NAME, a folder of a model, "
        "http://host:port/v1#model."
    )


def _read(paths: Sequence[Path]) -> "list[Document]":
    """Return the documents, and tell which files were left out."""
    from harness.readers import Skipped, read_documents

    documents: list[Document] = []
    for one in read_documents(paths):
        if isinstance(one, Skipped):
            click.echo(f"skipped: {one.source} {one.reason}", err=True)
        else:
            documents.append(one)
    if not documents:
        raise UserError(f"there is no document that can be read in {', '.join(map(str, paths))}.")
    return documents


def _limits(options: _Options, positions: int) -> "Limits":
    """Return how many tokens a context may have, so that a prompt with gists fits the model."""
    from harness.makeqa.cutting import Limits

    room = positions - ROOM_TOKENS
    most = options.max_tokens or min(MOST_TOKENS, room * RATIO // (RATIO + 1))
    least = options.min_tokens or min(LEAST_TOKENS, most // 2)
    if not 1 <= most <= room:
        raise UserError(
            f"--max-tokens {most} is too much: {options.model_name} has {positions} positions, "
            f"{ROOM_TOKENS} of them for the prompt. Allowed: up to {max(room, 0)}."
        )
    if least > most / 2:
        raise UserError(
            f"--min-tokens {least} is more than half of --max-tokens {most}, and what is too long "
            "is cut in halves. Lower one or raise the other."
        )
    return Limits(least, most)


def _cut(
    documents: "Sequence[Document]", tokenizer: "Tokenizer", limits: "Limits"
) -> "list[Context]":
    from harness.makeqa.cutting import cut_document

    contexts: list[Context] = []
    for document in documents:
        parts = cut_document(document, tokenizer, limits)
        if not parts:
            tokens = len(tokenizer.encode(document.text.strip()))
            click.echo(
                f"skipped: {document.source} has {tokens} tokens, less than {limits.least} "
                "(--min-tokens).",
                err=True,
            )
        contexts += parts
    if not contexts:
        raise UserError(
            f"no document has {limits.least} tokens. Give longer ones, or a lower --min-tokens."
        )
    return contexts


def _settings(
    options: _Options, documents: "Sequence[Document]", limits: "Limits"
) -> dict[str, Any]:
    """Return what may not change between a command and the one that goes on."""
    read = {one.source: hashlib.sha256(one.text.encode()).hexdigest()[:16] for one in documents}
    return {
        # A model that moves to another port is the same teacher.
        "teacher": options.teacher.rpartition("#")[2]
        if _is_address(options.teacher)
        else options.teacher,
        "model": options.model_name,
        "questions": options.questions,
        "min_tokens": limits.least,
        "max_tokens": limits.most,
        "closed_book_filter": not options.no_closed_book_filter,
        "load_in_4bit": options.load_in_4bit,
        "seed": options.seed,
        "documents": read,
    }


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


def _summary(totals: "Totals", outputs: Mapping[str, Path], documents: int) -> str:
    """Return what was made, and what was dropped for which reason."""
    from harness.makeqa.checks import REASONS
    from harness.makeqa.proposals import KINDS

    lines = []
    for part, path in outputs.items():
        kinds: Mapping[str, int] = totals.kept.get(part, {})
        told = ", ".join(f"{kinds.get(kind, 0)} {kind}" for kind in KINDS)
        lines.append(
            f"{path}: {totals.contexts[part]} contexts, {sum(kinds.values())} questions ({told})"
        )
    lines.append(f"dropped: {sum(totals.dropped.values())} questions")
    lines += [
        f"  {totals.dropped[reason]:5d}  {reason}: {meaning}"
        for reason, meaning in REASONS.items()
        if totals.dropped[reason]
    ]
    if totals.bare:
        lines.append(f"left out: contexts without a question, {totals.bare}")
    if totals.silent:
        lines.append(
            f"not done: contexts that the teacher had no reply to, {totals.silent}. "
            "The same command asks again"
        )
    lines.append(f"{totals.done} contexts; {documents} documents read")
    return "\n".join(lines)
