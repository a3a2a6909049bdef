"""The options that the suites over documents share, and what they decide.

Documents are written for this project, or come from a data set. What the options mean is told
once, here, and added to the docstring of each suite.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from benchmarks import hub
from benchmarks.collection import Choice, Collection, Template
from benchmarks.dataset import Dataset
from benchmarks.documents import Document
from benchmarks.lexicon import Split
from harness.api import Sample, Tokenizer

_SPLITS = ("test", "train")
_MAX_NEW_TOKENS = 32


@dataclass(frozen=True)
class DocumentOptions:
    """What is asked about which documents.

    Args:
        data: JSONL of your own contexts and questions, or PREFIX:FILE for a data set in its
            published layout (`gist-bench list --data`), or hub:NAME. Of the other options, only
            those that name data, `filler_tokens` and `max_new_tokens` are then in effect.
        context: column of the context in data=hub:NAME.
        question: column of the question there.
        answers: column of the accepted answers there.
        filler_tokens: fill each context of a data set up to so many tokens with its other
            documents, none of which holds the answer.
        split: `test`, or `train` with other names, values, filler and documents; of data=hub:NAME
            whatever splits it has.
        documents: number of documents; none: without end, for training.
        questions: questions per document, the kinds in turn; none: all that it can answer.
        people: people told of in a document, 1 to 9.
        facts: facts told of each person beside club and teacher, 1 to 5.
        filler: sentences of low information in a document.
        template: keep only questions whose wordings and facts are `seen` in training, or `unseen`.
        max_new_tokens: longest answer; none: 32, or what the data set gives to its answers.
    """

    data: str | None = None
    context: str = hub.COLUMNS.context
    question: str = hub.COLUMNS.question
    answers: str = hub.COLUMNS.answers
    filler_tokens: int | None = None
    split: str = "test"
    documents: int | None = 20
    questions: int | None = 8
    people: int = 5
    facts: int = 3
    filler: int = 12
    template: Template = "any"
    max_new_tokens: int | None = None

    def __init_subclass__(cls) -> None:
        told = (DocumentOptions.__doc__ or "").partition("    Args:")
        cls.__doc__ = f"{(cls.__doc__ or '').rstrip()}\n\n{''.join(told[1:])}"

    def __post_init__(self) -> None:
        """Refuse options that no document can have, and a data file with mistakes in it."""
        for name in ("max_new_tokens", "filler_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if not (self.data or "").startswith(f"{hub.PREFIX}:") and self.split not in _SPLITS:
            raise ValueError(f"split={self.split} must be {' or '.join(_SPLITS)}")
        self._documents()
        self._choice()
        if self.filler_tokens is not None and not (self._dataset and self._dataset.format.fills):
            raise ValueError(
                "filler_tokens needs a data set of paragraphs that stand for themselves: "
                "data=squad:FILE, say; gist-bench list --data names them"
            )

    @cached_property
    def _dataset(self) -> Dataset | None:
        if self.data is None:
            return None
        columns = hub.Columns(self.context, self.question, self.answers)
        return Dataset.open(self.data, self.split, columns)

    def _of_dataset(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample] | None:
        """Return the samples of the data set, if one is named."""
        if self._dataset is None:
            return None
        return self._dataset.samples(
            tokenizer, seed, filler_tokens=self.filler_tokens, max_new_tokens=self.max_new_tokens
        )

    def _written(self, name: str, seed: int) -> Iterator[tuple[str, Document]]:
        return self._documents().write(name, seed)

    @property
    def _longest(self) -> int:
        return self.max_new_tokens or _MAX_NEW_TOKENS

    def _documents(self) -> Collection:
        split = cast(Split, self.split if self.split in _SPLITS else "test")
        return Collection(split, self.documents, self.people, self.facts, self.filler)

    def _choice(self) -> Choice:
        split = cast(Split, self.split if self.split in _SPLITS else "test")
        return Choice(self.questions, self.template, split)
