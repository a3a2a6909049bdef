"""What can go wrong, as a tree. Every package of ours raises these and no others of its own.

    UserError              one line for the user: what was given, what to do; exit code 2
    ├── NotReady           a backend that cannot answer with this model, though it may show its cost
    └── TokenizerUnknown   a size in tokens, of a served model whose tokenizer nobody has named
    SampleError            a sample that cannot be run by this backend: becomes a row with `error`
    ├── ContextTooLong     `context_too_long`: more positions than the model has
    └── OutOfMemory        `out_of_memory`: raised by the allocator, or foreseen before allocating

Anything else is a fault of the program and stops the run; the same command resumes it.
"""

import difflib
import errno
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class UserError(Exception):
    """A mistake that the user can correct."""


class NotReady(UserError):
    """A backend lacks something that answers need (a trained adapter, say).

    Args:
        message: the line to show, with what to do.
        cost_options: options under which the backend may still run in suites that score
            nothing, as spec fields; empty when it cannot run at all.
    """

    def __init__(self, message: str, cost_options: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.cost_options = dict(cost_options or {})


class TokenizerUnknown(UserError):
    """Text must be counted in tokens, and nobody has named the served model's tokenizer."""


class SampleError(Exception):
    """A sample that this backend cannot run; `code` is written to the row's `error` cell."""

    code: ClassVar[str]


class ContextTooLong(SampleError):
    """The sample needs more positions than the model has."""

    code = "context_too_long"


class OutOfMemory(SampleError):
    """The sample needs more memory than there is."""

    code = "out_of_memory"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `Did you mean 'x'? ` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {near[0]!r}? " if near else ""


@contextmanager
def reading(what: object, *, fault: str = "cannot be read", advice: str = "") -> Iterator[None]:
    """Turn what goes wrong in reading other people's data into one line that names them.

    This is the one place that catches everything. Libraries raise what they like for damaged data
    - `KeyError`, `RecursionError`, classes of their own, panics of Rust that are no `Exception` -
    and a list of these at each reader was never complete. Put no code of ours under it but the
    reading and checking of the data.

    Args:
        what: the file or folder that is read, as the message names it.
        fault: what is wrong with it, in front of the reason.
        advice: what to do, in a sentence.

    Raises:
        UserError: for whatever is raised, but for errors of ours and for too little memory.
    """
    try:
        yield
    except (UserError, SampleError, MemoryError):
        raise
    except BaseException as error:
        panicked = type(error).__name__ == "PanicException"  # of pyo3, which no module exports
        if not (panicked or isinstance(error, Exception)) or _is_out_of_memory(error):
            raise
        if (
            isinstance(error, OSError) and error.errno in DISK_IS_FULL
        ):  # of what a reader wrote elsewhere
            raise
        subject = f"{what} {fault}".strip()
        raise UserError(f"{subject}: {one_line(error)}. {advice}".strip()) from error


def one_line(error: BaseException) -> str:
    """Return the message of a library's error on one line, cut to a readable size.

    It may quote what stands in a damaged file: nothing in it is obeyed by a terminal.
    """
    words = " ".join(str(error).split())
    if isinstance(error, LookupError) or not words:  # a message that is no more than the key
        words = f"{type(error).__name__} {words}".strip()
    return printable(words[:200].rstrip("."))


def _is_out_of_memory(error: BaseException) -> bool:
    """Say whether an allocator of a GPU found no room; torch is not imported for its class."""
    return type(error).__name__ == "OutOfMemoryError"


def printable(text: object, longest: int | None = None) -> str:
    r"""Return a text as it may be shown to a person: one line, and nothing that a terminal obeys.

    Control characters, half characters and marks of direction become escapes, `\x1b`. A server, a
    damaged file and a file's name may hold any of them.
    """
    line = " ".join(str(text).split())
    if longest is not None and len(line) > longest:
        line = f"{line[:longest]}..."
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line
    )
