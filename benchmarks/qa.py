"""qa: many questions about each document, of three kinds.

`lookup` needs one fact, `reasoning` two, `global` the whole document (its topic, a count, the most
frequent). Documents are written for this project, or come from a data set, which is then scored by
the metrics that are official for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.formats._scores import squad_scores
from benchmarks.options import DocumentOptions
from harness.api import Question, Sample, Tokenizer


@dataclass(frozen=True)
class Qa(DocumentOptions):
    """Questions about documents."""

    metrics: ClassVar[tuple[str, ...]] = ("f1", "exact_match")
    slice_names: ClassVar[tuple[str, ...]] = ("kind", "template")

    def __post_init__(self) -> None:
        """Take metrics and slices from the data set, if one is named."""
        super().__post_init__()
        if self._dataset is not None:
            names = self._dataset.slice_names(filled=self.filler_tokens is not None)
            # The class tells what generated documents have; a data set is known only now.
            object.__setattr__(self, "metrics", self._dataset.format.metrics)
            object.__setattr__(self, "slice_names", names)

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield one document at a time with its questions."""
        of_dataset = self._of_dataset(tokenizer, seed)
        if of_dataset is not None:
            yield from of_dataset
            return
        choice = self._choice()
        for sample_id, document in self._written("qa", seed):
            asked = choice.among(document.questions)
            if asked:
                yield Sample(sample_id, document.text, tuple(asked), self._longest)

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:  # noqa: ARG002
        """Return the metrics of the data set, or SQuAD's; see `benchmarks.scoring`."""
        score = self._dataset.format.score if self._dataset else squad_scores
        return score(question, answer)
