"""What can go wrong, as a tree. Every package of ours raises these and no others of its own.

    UserError              one line for the user: what was given, what to do; exit code 2
    └── NotReady           a backend that cannot answer with this model, though it may show its cost
    SampleError            a sample that cannot be run by this backend: becomes a row with `error`
    ├── ContextTooLong     `context_too_long`: more positions than the model has
    └── OutOfMemory        `out_of_memory`: raised by the allocator, or foreseen before allocating

Anything else is a fault of the program and stops the run; the same command resumes it.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import ClassVar


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
