"""One `gist-bench make-qa` from the paths of documents to the files of questions."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api import Tokenizer
from harness.errors import UserError
from harness.makeqa.cutting import Context, Size, cut_document
from harness.makeqa.journal import Journal
from harness.makeqa.models import Models
from harness.makeqa.pipeline import Totals, make, split_documents, wanted_of_each
from harness.makeqa.readers import Document, Skipped, read_documents
from harness.makeqa.teachers import open_teacher
from harness.served.address import is_address, read_key

MIN_TOKENS = 64  # of a context: a short note is one, and no long document is left out either
MAX_TOKENS = 8192  # where the model has positions for them
PROMPT_TOKENS = 320  # positions for the instruction, a question and its answer
RATIO = 8  # and for gist tokens, one to so many of the context

Notify = Callable[[str], object]
Progress = Callable[[int, int], AbstractContextManager[Callable[[Totals], object]]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the command, as `gist-bench make-qa --help` describes them."""

    teacher: str
    out: Path
    test_out: Path | None
    test_share: float
    model_name: str
    min_tokens: int | None
    max_tokens: int | None
    questions: int
    no_closed_book_filter: bool
    key_env: str | None
    parallel: int
    device: str | None
    load_in_4bit: bool
    shots: int
    seed: int
    restart: bool
    at_most: int = MAX_TOKENS  # of a context, where max_tokens is not given

    @property
    def outputs(self) -> dict[str, Path]:
        """The file of each part, `train` and perhaps `test`."""
        return {"train": self.out} | ({"test": self.test_out} if self.test_out else {})


@dataclass(frozen=True, slots=True)
class Made:
    """What a command has made."""

    totals: Totals
    outputs: dict[str, Path]
    documents: int  # that gave contexts
    skipped: tuple[Skipped, ...] = ()  # that were not read, or are too short

    @property
    def empty(self) -> list[Path]:
        """The files without a question."""
        return [path for part, path in self.outputs.items() if not self.totals.kept[part].total()]


def make_qa(paths: Sequence[Path], options: Options, notify: Notify, progress: Progress) -> Made:
    """Write questions about all documents that are not finished.

    Args:
        paths: files and folders.
        options: of the command.
        notify: gets a line about each document that is left out.
        progress: opened for so many contexts and finished ones; gets the totals after each.

    Raises:
        UserError: an option, a document, the teacher or an earlier output does not do.
    """
    _check_outputs(options)
    key = read_key(options.key_env, options.teacher, notify)
    models = Models(options.device, load_in_4bit=options.load_in_4bit, shots=options.shots)
    # Before the documents are read: its name may be mistyped.
    proposer = open_teacher(options.teacher, models, key=key, seed=options.seed)
    documents, skipped = _read(paths)
    if options.test_out:
        parts = split_documents(documents, options.test_share, options.seed)
    else:
        parts = dict.fromkeys((document.source for document in documents), "train")
    tokenizer, positions = models.facts(options.model_name)
    size = _size(options, positions)
    contexts, short = _cut(documents, tokenizer, size)
    for one in (*skipped, *short):
        notify(f"skipped: {one.source} {one.reason}")
    settings = _settings(options, documents, size)
    journal = Journal(options.outputs, settings)
    with journal.open(restart=options.restart) as finished:
        unfiltered = options.no_closed_book_filter
        closed_book = None if unfiltered else models.closed_book(options.model_name)
        with progress(len(contexts), len(finished)) as report:
            totals = make(
                contexts,
                journal,
                proposer=proposer,
                closed_book=closed_book,
                parts=parts,
                wanted=wanted_of_each(options.questions),
                finished=finished,
                parallel=options.parallel if is_address(options.teacher) else 1,
                report=report,
            )
    return Made(totals, options.outputs, len(documents) - len(short), (*skipped, *short))


def _check_outputs(options: Options) -> None:
    if options.test_out and options.test_out.resolve() == options.out.resolve():
        raise UserError(f"--out and --test-out are both {options.out}. Give two files.")
    for path in options.outputs.values():
        if not path.parent.is_dir():
            raise UserError(f"there is no folder {path.parent}. Create it, or give another file.")


def _read(paths: Sequence[Path]) -> tuple[list[Document], list[Skipped]]:
    found = list(read_documents(paths))
    documents = [one for one in found if isinstance(one, Document)]
    skipped = [one for one in found if isinstance(one, Skipped)]
    if not documents:
        why = "".join(f" {one.source} {one.reason}" for one in skipped[:3])
        raise UserError(f"no document can be read in {', '.join(map(str, paths))}.{why}")
    return documents, skipped


def _size(options: Options, positions: int) -> Size:
    """Return how many tokens a context may have, so that a prompt with gists fits the model."""
    room = positions - PROMPT_TOKENS
    max_tokens = options.max_tokens or min(options.at_most, room * RATIO // (RATIO + 1))
    min_tokens = options.min_tokens or min(MIN_TOKENS, max_tokens // 2)
    if not 1 <= max_tokens <= room:
        raise UserError(
            f"--max-tokens {max_tokens} is too much: {options.model_name} has {positions} "
            f"positions, {PROMPT_TOKENS} of them for the prompt. Allowed: up to {max(room, 0)}."
        )
    if min_tokens > max_tokens / 2:
        raise UserError(
            f"--min-tokens {min_tokens} is more than half of --max-tokens {max_tokens}, and what "
            "is too long is cut in halves. Lower one or raise the other."
        )
    return Size(min_tokens, max_tokens)


def _cut(
    documents: Sequence[Document], tokenizer: Tokenizer, size: Size
) -> tuple[list[Context], list[Skipped]]:
    """Return the contexts of all documents, and the documents that are too short for one."""
    contexts: list[Context] = []
    short: list[Skipped] = []
    for document in documents:
        parts = cut_document(document, tokenizer, size)
        if not parts:
            tokens = len(tokenizer.encode(document.text.strip()))
            reason = f"has {tokens} tokens, less than {size.min_tokens} (--min-tokens)."
            short.append(Skipped(document.source, reason))
        contexts += parts
    if not contexts:
        raise UserError(
            f"no document has {size.min_tokens} tokens. Give longer ones, or a lower --min-tokens."
        )
    return contexts, short


def _settings(options: Options, documents: Sequence[Document], size: Size) -> dict[str, Any]:
    """Return what may not change between a command and the one that continues it."""
    teacher = options.teacher
    settings = {
        # A model that moves to another port is the same teacher.
        "teacher": teacher.rpartition("#")[2] if is_address(teacher) else teacher,
        "model": options.model_name,
        "questions": options.questions,
        "min_tokens": size.min_tokens,
        "max_tokens": size.max_tokens,
        "closed_book_filter": not options.no_closed_book_filter,
        "load_in_4bit": options.load_in_4bit,
        "shots": options.shots,
        "seed": options.seed,
        "documents": {
            one.source: hashlib.sha256(one.text.encode()).hexdigest()[:16] for one in documents
        },
    }
    if options.test_out:
        settings |= {"test_share": options.test_share, "test_out": options.test_out.name}
    return settings
