"""qa: many questions about each document, of three kinds.

`lookup` needs one fact, `reasoning` two, `global` the whole document (its topic, a count, the most
frequent). Documents are written for this project, or come from a data set, which is then scored by
the metrics that are official for it. `contains` stands beside them, for models that answer in
sentences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.data.document_suite import DocumentSuite
from benchmarks.scoring.answers import contains, squad_scores
from harness.api import Question


@dataclass(frozen=True)
class Qa(DocumentSuite):
    """Questions about documents."""

    metrics: ClassVar[tuple[str, ...]] = ("f1", "exact_match", "contains")
    slice_names: ClassVar[tuple[str, ...]] = ("kind", "template")

    def __post_init__(self) -> None:
        """Take metrics and slices from the data set, if one is named."""
        super().__post_init__()
        if self._dataset is not None:
            # The class names what generated documents have; a data set is known only now.
            object.__setattr__(self, "metrics", (*self._dataset.metrics(), "contains"))
            object.__setattr__(
                self, "slice_names", self._dataset.slice_names(filled=bool(self.filler_tokens))
            )

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:  # noqa: ARG002
        """Return the metrics of the data set, or SQuAD's, and `contains`."""
        score = self._dataset.format.score if self._dataset else squad_scores
        return {**score(question, answer), "contains": contains(answer, question.targets)}
