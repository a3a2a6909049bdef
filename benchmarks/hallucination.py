"""hallucination: what is answered when the document does not say, and what is made up.

Answerable and unanswerable questions about the same document. An arm that always abstains invents
nothing, so `abstained` is to be read beside `false_refusal`; both count only the questions where
they can happen.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import ClassVar

from benchmarks.abstention import abstained
from benchmarks.options import DocumentOptions
from benchmarks.scoring import contains
from benchmarks.unsupported import unsupported
from harness.api import Question, Sample, Tokenizer


@dataclass(frozen=True)
class Hallucination(DocumentOptions):
    """Questions about documents, half of them unanswerable.

    With `questions`, every second one is unanswerable.
    """

    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "hallucinated",
        "abstained",
        "false_refusal",
        "unsupported",
    )
    slice_names: ClassVar[tuple[str, ...]] = ("answerable", "kind", "template")

    def __post_init__(self) -> None:
        """Take slices from the data set, if one is named."""
        super().__post_init__()
        if self._dataset is not None:
            names = self._dataset.slice_names(filled=self.filler_tokens is not None)
            object.__setattr__(self, "slice_names", ("answerable", *names))

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield one document at a time with its questions."""
        of_dataset = self._of_dataset(tokenizer, seed)
        if of_dataset is not None:
            yield from (replace(s, questions=_marked(s.questions)) for s in of_dataset)
            return
        choice = self._choice()
        for sample_id, document in self._written("hallucination", seed):
            pairs = zip_longest(choice.among(document.questions), choice.among(document.absent))
            asked = [question for pair in pairs for question in pair if question is not None]
            asked = asked[: self.questions]
            if asked:
                yield Sample(sample_id, document.text, _marked(asked), self._longest)

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Return the metrics that apply to this question.

        accuracy: the answer holds a target, or abstains where there is none.
        hallucinated: answered although the context does not hold the answer (unanswerable only).
        abstained: the opposite of it (unanswerable only).
        false_refusal: abstained although the context holds the answer (answerable only).
        unsupported: holds a number or capitalised name that is neither in the context nor in the
            question nor in a right answer (a count, say); 0 for an abstention.
        """
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
        return {"accuracy": right, "false_refusal": float(silent and not right), **common}


def _marked(questions: Iterable[Question]) -> tuple[Question, ...]:
    """Return the questions with the slice that says whether they can be answered."""
    return tuple(
        replace(q, slices={**q.slices, "answerable": "yes" if q.targets else "no"})
        for q in questions
    )
