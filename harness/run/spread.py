"""Which samples to ask when the time is limited: spread over documents and kinds of questions."""

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, TypeVar

from harness.api import Question, Sample
from harness.files import write_atomically

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Rate:
    """What all backends together take."""

    read_s: float  # for a character of a context
    question_s: float

    def seconds(self, samples: Iterable[Sample]) -> float:
        """Return how long the samples take."""
        return sum(
            self.read_s * len(sample.context) + self.question_s * len(sample.questions)
            for sample in samples
        )


def fit(samples: Sequence[Sample], rate: Rate, seconds: float) -> list[Sample]:
    """Return as many samples as fit, in turn from each document; at least one question.

    Every document is asked about, with fewer questions for each context if need be, before a second
    context of any is. Questions are left out evenly over their kinds.
    """
    ordered = _in_turn(samples, document_of)
    documents = len({document_of(sample) for sample in samples})
    most = max(len(sample.questions) for sample in samples)
    chosen: list[Sample] = []
    for questions in range(most, 0, -1):
        some = [fewer(sample, questions, n) for n, sample in enumerate(ordered)]
        fitting = sum(rate.seconds(some[: number + 1]) <= seconds for number in range(len(some)))
        chosen = some[: max(1, fitting)]
        if fitting >= documents:
            break
    return chosen


def fewer(sample: Sample, questions: int, turn: int = 0) -> Sample:
    """Return a sample with fewer questions; the kind that comes first differs by `turn`."""
    if len(sample.questions) <= questions:
        return sample
    ordered = _in_turn(sample.questions, _kind)
    start = turn * questions % len(ordered)
    chosen = [*ordered[start:], *ordered[:start]][:questions]
    return replace(sample, questions=tuple(q for q in sample.questions if q in chosen))


def document_of(sample: Sample) -> str:
    """Return the document of a context: make-qa calls its contexts DOCUMENT#NUMBER."""
    return sample.id.rpartition("#")[0] or sample.id


def write_samples(file: Path, samples: Iterable[Sample]) -> None:
    """Write samples as JSONL that `data=` reads."""
    lines = (json.dumps(_as_line(sample), ensure_ascii=False) + "\n" for sample in samples)
    write_atomically(file, "".join(lines).encode())


def _as_line(sample: Sample) -> dict[str, Any]:
    return {
        "id": sample.id,
        "context": sample.context,
        "questions": [
            {
                "id": question.id,
                "question": question.text,
                "answers": list(question.targets),
                **({"kind": kind} if (kind := question.slices.get("kind")) else {}),
                "support": list(question.support),
            }
            for question in sample.questions
        ],
    }


def _kind(question: Question) -> tuple[str, bool]:
    return question.slices.get("kind", ""), bool(question.targets)


def _in_turn(items: Iterable[Item], group: Callable[[Item], Hashable]) -> list[Item]:
    """Return items group by group in turn: the first of each, then the second of each."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    turns = chain.from_iterable(zip_longest(*groups.values()))
    return [item for item in turns if item is not None]
