"""What the suites over documents share: their options, and the documents these lead to.

Documents are written for this project, or come from a data set. The options are described once,
here; the description is added to the docstring of each suite.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count, zip_longest
from typing import Literal, cast

from benchmarks.data import hub
from benchmarks.data.dataset import Dataset
from benchmarks.generate.documents import Document, write_document
from benchmarks.generate.lexicon import Split
from harness.api import Question, Sample, Tokenizer

_SPLITS = ("test", "train")
_MAX_NEW_TOKENS = 32
_LIMITS: dict[str, tuple[int, int | None]] = {
    **dict.fromkeys(("max_new_tokens", "filler_tokens", "documents", "questions"), (1, None)),
    **{"people": (1, 9), "facts": (1, 5), "filler": (0, None)},
}

Template = Literal["any", "seen", "unseen"]
"""Which sentence templates a question may depend on; training knows the seen ones only."""


@dataclass(frozen=True)
class DocumentSuite:
    """Questions about documents; the suites choose the questions and score the answers.

    Args:
        data: JSONL of your own contexts and questions, or PREFIX:FILE for a data set in its
            published layout (`gist-bench list --data`), or hub:NAME, or PREFIX:hub:NAME. Of the
            other options, only those that name data, `filler_tokens` and `max_new_tokens` are then
            in effect.
        context: column of the context in data=hub:NAME.
        question: column of the question there.
        answers: column of the accepted answers there.
        articles: of a data set with titled documents, such as SQuAD: those that are read, joined
            by +; by default all.
        without: titles that are left out.
        shuffle: contexts of a data set in an order drawn from the seed, so that `--limit` takes
            a random part of it and not its beginning.
        filler_tokens: fill each context of a data set up to so many tokens with its other
            documents, none of which holds the answer.
        split: `test`, or `train` with other names, values, filler and documents; of data=hub:NAME
            whatever splits it has.
        documents: number of documents; none: without end, for training.
        questions: questions per document, the kinds in turn; none: all that it can answer.
        people: people in a document, 1 to 9.
        facts: facts about each person beside club and teacher, 1 to 5.
        filler: sentences of low information in a document.
        template: keep only questions whose wordings and facts are `seen` in training, or `unseen`.
        max_new_tokens: longest answer; none: 32, or what the data set gives to its answers, or more
            where an accepted answer is longer.
    """

    data: str | None = None
    context: str = hub.COLUMNS.context
    question: str = hub.COLUMNS.question
    answers: str = hub.COLUMNS.answers
    articles: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    shuffle: bool = False
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
        _, args, described = (DocumentSuite.__doc__ or "").partition("    Args:")
        cls.__doc__ = f"{(cls.__doc__ or '').rstrip()}\n\n{args}{described}"

    def __post_init__(self) -> None:
        """Refuse options that no document can have, and a data file with mistakes in it."""
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= (high or value):
                allowed = f"between {low} and {high}" if high else f"at least {low}"
                raise ValueError(f"{name}={value} must be {allowed}")
        if not hub.NAMED.match(self.data or "") and self.split not in _SPLITS:
            raise ValueError(f"split={self.split} must be {' or '.join(_SPLITS)}")
        if self.template == "unseen" and self.split == "train":
            raise ValueError("template=unseen has no questions in split=train; give split=test")
        if (self.articles or self.without or self.shuffle) and self._dataset is None:
            raise ValueError("articles, without and shuffle are about a data set: give data=")
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
        dataset = Dataset.open(self.data, self.split, columns)
        return dataset.chosen(articles=self.articles, without=self.without)

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield one document at a time with its questions."""
        if self._dataset is not None:
            yield from self._dataset.samples(
                tokenizer,
                seed,
                shuffle=self.shuffle,
                filler_tokens=self.filler_tokens,
                max_new_tokens=self.max_new_tokens,
            )
            return
        name, longest = type(self).__name__.lower(), self.max_new_tokens or _MAX_NEW_TOKENS
        for index in count() if self.documents is None else range(self.documents):
            sample_id = f"{name}-{index}"
            document = write_document(
                random.Random(f"{seed}/{sample_id}"),
                split=cast(Split, self.split),
                people=self.people,
                facts=self.facts,
                filler=self.filler,
            )
            if asked := self._asked(document):
                yield Sample(sample_id, document.text, tuple(asked), longest)

    def _asked(self, document: Document) -> list[Question]:
        """Return the questions about a written document."""
        return self._chosen(document.questions)

    def _chosen(self, questions: Sequence[Question]) -> list[Question]:
        """Return as many questions as the options ask for, one of each kind in turn."""
        kinds: dict[str, list[Question]] = {}
        for question in questions:
            if self.template in ("any", question.slices["template"]):
                kinds.setdefault(question.slices["kind"], []).append(question)
        turns = chain.from_iterable(zip_longest(*kinds.values()))
        return [question for question in turns if question is not None][: self.questions]
