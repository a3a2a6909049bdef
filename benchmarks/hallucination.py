"""hallucination: what is answered when the document does not say, and what is made up.

Answerable and unanswerable questions about the same document. A backend that always abstains
invents nothing, so `abstained` is to be read beside `false_refusal`; both count only the questions
where they can happen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import ClassVar

from benchmarks.data.document_suite import DocumentSuite
from benchmarks.generate.documents import Document
from benchmarks.scoring.abstention import abstained
from benchmarks.scoring.answers import contains
from benchmarks.scoring.unsupported import unsupported
from harness.api import Metric, Question, Sample, Tokenizer

METRICS = (
    Metric(
        "accuracy",
        "1 if the answer holds a target (as contains), or abstains where there is none. In "
        "LongEval: if the last number of the answer is the right one.",
        judges=True,
    ),
    Metric(
        "abstained",
        "Unanswerable questions only: 1 if the answer is the sentinel, a refusal in words, or "
        "empty. To be read beside false_refusal.",
        source="this project, after SQuAD 2.0's no-answer questions, arXiv 1806.03822",
    ),
    Metric(
        "hallucinated",
        "Unanswerable questions only: 1 if something is answered, 1 - abstained.",
        better="lower",
        headings=("invented",),
    ),
    Metric(
        "false_refusal",
        "Answerable questions only: 1 if the answer abstains and does not hold a target.",
        better="lower",
    ),
    Metric(
        "unsupported",
        "1 if the answer holds a number or a capitalised name that is neither in the context nor "
        "in the question nor in a target; 0 for an abstention.",
        better="lower",
    ),
)


@dataclass(frozen=True)
class Hallucination(DocumentSuite):
    """Questions about documents, half of them unanswerable.

    With `questions`, every second one is unanswerable.
    """

    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "hallucinated",
        "abstained",
        "false_refusal",
        "unsupported",
        "contains",
    )
    slice_names: ClassVar[tuple[str, ...]] = ("answerable", "kind", "template")

    def __post_init__(self) -> None:
        """Take slices from the data set, if one is named."""
        super().__post_init__()
        if self._dataset is not None:
            names = self._dataset.slice_names(filled=self.filler_tokens is not None)
            object.__setattr__(self, "slice_names", ("answerable", *names))

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield one document at a time with its questions, marked as answerable or not."""
        for sample in super().samples(tokenizer, seed):
            yield replace(sample, questions=tuple(map(_marked, sample.questions)))

    def _asked(self, document: Document) -> list[Question]:
        pairs = zip_longest(self._chosen(document.questions), self._chosen(document.absent))
        asked = [question for pair in pairs for question in pair if question is not None]
        return asked[: self.questions]

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Return those metrics that apply to this question."""
        silent = abstained(answer)
        invented = not silent and unsupported(answer, context, question.text, *question.targets)
        common = {"unsupported": float(bool(invented))}
        if not question.targets:
            return {
                "accuracy": float(silent),
                "hallucinated": float(not silent),
                "abstained": float(silent),
                **common,
            }
        right = contains(answer, question.targets)
        refused = float(silent and not right)
        return {"accuracy": right, "contains": right, "false_refusal": refused, **common}


def _marked(question: Question) -> Question:
    """Return the question with the slice that says whether it can be answered."""
    answerable = "yes" if question.targets else "no"
    return replace(question, slices={**question.slices, "answerable": answerable})
