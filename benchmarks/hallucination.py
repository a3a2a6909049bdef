"""hallucination: what is answered when the document does not say, and what is made up.

Answerable and unanswerable questions about the same document. An arm that always abstains invents
nothing, so `abstained` is to be read beside `false_refusal`; both count only the questions where
they can happen.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import ClassVar

from benchmarks.abstention import abstained
from benchmarks.collection import Choice, Collection, Template
from benchmarks.dataset import Dataset
from benchmarks.lexicon import Split
from benchmarks.scoring import contains
from benchmarks.unsupported import unsupported
from harness.api import Question, Sample, Tokenizer


@dataclass(frozen=True)
class Hallucination:
    """Questions about documents, half of them unanswerable.

    Args:
        data: a JSONL file of your own contexts and questions, or PREFIX:FILE for a data set in
            its published layout (`gist-bench list --data`); the options of generated documents
            (all but `max_new_tokens`) are then without effect.
        split: `test`, or `train` with other names, values, filler and documents.
        documents: number of documents; none: without end, for training.
        questions: questions per document, every second one unanswerable; none: all there are.
        people: people told of in a document, 1 to 9.
        facts: facts told of each person beside club and teacher, 1 to 5.
        filler: sentences of low information in a document.
        template: keep only questions whose wordings and facts are `seen` in training, or `unseen`.
        max_new_tokens: longest answer.
    """

    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "hallucinated",
        "abstained",
        "false_refusal",
        "unsupported",
    )
    slice_names: ClassVar[tuple[str, ...]] = ("answerable", "kind", "template")

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
            names = ("answerable", *self._dataset.format.slice_names)
            object.__setattr__(self, "slice_names", names)

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:  # noqa: ARG002
        """Yield one document at a time with its questions."""
        if self._dataset is not None:
            samples = self._dataset.samples(max_new_tokens=self.max_new_tokens)
            yield from (replace(s, questions=_marked(s.questions)) for s in samples)
            return
        choice = self._choice()
        for sample_id, document in self._documents().write("hallucination", seed):
            pairs = zip_longest(choice.among(document.questions), choice.among(document.absent))
            asked = [question for pair in pairs for question in pair if question is not None]
            asked = asked[: self.questions]
            if asked:
                yield Sample(sample_id, document.text, _marked(asked), self.max_new_tokens)

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

    @cached_property
    def _dataset(self) -> Dataset | None:
        return None if self.data is None else Dataset.open(self.data)

    def _documents(self) -> Collection:
        return Collection(self.split, self.documents, self.people, self.facts, self.filler)

    def _choice(self) -> Choice:
        return Choice(self.questions, self.template, self.split)


def _marked(questions: Iterable[Question]) -> tuple[Question, ...]:
    """Return the questions with the slice that says whether they can be answered."""
    return tuple(
        replace(q, slices={**q.slices, "answerable": "yes" if q.targets else "no"})
        for q in questions
    )
