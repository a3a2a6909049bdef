"""qa: many questions about each document, of three kinds.

`lookup` needs one fact, `reasoning` two, `global` the whole document (its topic, a count, the most
frequent). Documents are written for this project, or come from a person's own file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from benchmarks import datafile
from benchmarks.collection import Choice, Collection, Template
from benchmarks.dataset import Dataset
from benchmarks.lexicon import Split
from harness.api import Question, Sample, Tokenizer


@dataclass(frozen=True)
class Qa:
    """Questions about documents.

    Args:
        data: a JSONL file of your own contexts and questions, or PREFIX:FILE for a data set in
            its published layout (`gist-bench list --data`), scored by its own metrics; the options
            of generated documents (all but `max_new_tokens`) are then without effect.
        split: `test`, or `train` with other names, values, filler and documents.
        documents: number of documents; none: without end, for training.
        questions: questions per document, the kinds in turn; none: all that it can answer.
        people: people told of in a document, 1 to 9.
        facts: facts told of each person beside club and teacher, 1 to 5.
        filler: sentences of low information in a document.
        template: keep only questions whose wordings and facts are `seen` in training, or `unseen`.
        max_new_tokens: longest answer.
    """

    metrics: ClassVar[tuple[str, ...]] = ("f1", "exact_match")
    slice_names: ClassVar[tuple[str, ...]] = ("kind", "template")

    data: str | None = None
    split: Split = "test"
    documents: int | None = 20
    questions: int | None = 8
    people: int = 5
    facts: int = 3
    filler: int = 12
    template: Template = "any"
    max_new_tokens: int = 32

    def __post_init__(self) -> None:
        """Refuse options that no document can have, and a data file with mistakes in it."""
        self._documents()
        self._choice()
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens={self.max_new_tokens} must be at least 1")
        if self._dataset is not None:
            # What a data set is scored by is known when it is named, not before.
            object.__setattr__(self, "metrics", tuple(self._dataset.format.metrics))
            object.__setattr__(self, "slice_names", self._dataset.format.slice_names)

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:  # noqa: ARG002
        """Yield one document at a time with its questions."""
        if self._dataset is not None:
            yield from self._dataset.samples(max_new_tokens=self.max_new_tokens)
            return
        choice = self._choice()
        for sample_id, document in self._documents().write("qa", seed):
            asked = choice.among(document.questions)
            if asked:
                yield Sample(sample_id, document.text, tuple(asked), self.max_new_tokens)

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:  # noqa: ARG002
        """Return the metrics of the data set, SQuAD's for all others; see `benchmarks.scoring`."""
        metrics = self._dataset.format.metrics if self._dataset else datafile.FORMAT.metrics
        return {name: metric(answer, question.targets) for name, metric in metrics.items()}

    @cached_property
    def _dataset(self) -> Dataset | None:
        return None if self.data is None else Dataset.open(self.data)

    def _documents(self) -> Collection:
        return Collection(self.split, self.documents, self.people, self.facts, self.filler)

    def _choice(self) -> Choice:
        return Choice(self.questions, self.template, self.split)
