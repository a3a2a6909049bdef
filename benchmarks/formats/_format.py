"""What a module of this package says of its data set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.api import Question

Metric = Callable[[str, Sequence[str]], float]
"""The score of an answer against the accepted ones, between 0 and 1."""


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
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Format:
    """A published layout and how its answers are scored.

    `read` raises `UserError` with file and line for what is not in the layout.
    """

    title: str
    licence: str  # of the data, as its publisher gives it
    source: str  # where it is published
    read: Callable[[Path], list[Entry]]
    metrics: Mapping[str, Metric]  # the official ones, the headline first
    slice_names: tuple[str, ...] = ()  # that entries and questions may fill
    max_new_tokens: int = 32  # what a right answer may need
    separator: str = "\n\n"  # between paragraphs
    fills: bool = False  # whether its paragraphs can fill each other's contexts
