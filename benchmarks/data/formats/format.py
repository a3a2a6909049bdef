"""What a layout defines: how its files are read and how answers are scored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.api import Question
from harness.errors import UserError


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A text that stands for itself, and may fill the context of another question."""

    text: str
    title: str = ""  # of the document it is from


@dataclass(frozen=True, slots=True)
class Entry:
    """One context, in its paragraphs, and the questions about it."""

    id: str
    paragraphs: tuple[Paragraph, ...]
    questions: tuple[Question, ...]
    max_new_tokens: int | None = None  # that its task gives; None: what the layout gives
    notice: str = ""  # what its official score needs and is not here


def distinct(entries: Iterable[tuple[str, Entry]]) -> list[Entry]:
    """Return the entries of a file, each with where it stands.

    Raises:
        UserError: two have one id.
    """
    found: dict[str, Entry] = {}
    for where, entry in entries:
        if entry.id in found:
            raise UserError(
                f"{where}: id {entry.id[:40]!r} was given already. Are two files joined?"
            )
        found[entry.id] = entry
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Format:
    """A published layout and how its answers are scored.

    `read` raises `UserError` with file and line for what is not in the layout.
    """

    title: str
    licence: str  # of the data, as its publisher gives it
    source: str  # where it is published
    read: Callable[[Path], Sequence[Entry]]
    metrics: tuple[str, ...]  # the official ones, the headline first
    score: Callable[[Question, str], Mapping[str, float]]  # of an answer; names out of `metrics`
    slice_names: tuple[str, ...] = ()  # that questions may fill
    max_new_tokens: int = 32  # what a right answer may need
    separator: str = "\n\n"  # between paragraphs
    fills: bool = False  # whether its paragraphs can fill each other's contexts
