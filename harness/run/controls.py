"""Controls: a backend reads the sample's own context or, as a control, another text.

    gist                 the sample's own context
    shuffled(gist)       the context of another sample: answers must not survive this
    oracle(full)         only the sentences that support the answer: an upper bound for reading

A control is written around the spec of a backend. It works with every backend, and no backend
knows about it. Scores, targets and `context_tokens` stay those of the sample's own context.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from harness.api import Question, Sample

_WRAPPED = re.compile(r"(?P<control>\w+)\((?P<backend>.*)\)", re.DOTALL)
_FORMER_NAMES = MappingProxyType({"swapped": "shuffled"})  # still accepted, and in older rows


@dataclass(frozen=True, slots=True)
class ContextAssignment:
    """A context that a backend reads, and the questions that it is asked about it."""

    context: str
    questions: tuple[Question, ...]
    label: str = ""  # tells the batches of a sample's assignments apart


@dataclass(frozen=True, slots=True)
class ControlledSample:
    """A sample, and the contexts that a backend reads for it, one after the other."""

    sample: Sample
    assignments: tuple[ContextAssignment, ...]

    @property
    def questions(self) -> int:
        """How many rows the sample has when it is finished."""
        return sum(len(assignment.questions) for assignment in self.assignments)


@dataclass(frozen=True, slots=True)
class ControlledSamples:
    """What a control makes of a suite's samples."""

    samples: tuple[ControlledSample, ...]  # without those that have no question left
    left_out: str = ""  # what is missing, and why


def split_control(text: str) -> tuple[str, str]:
    """Return the control around a backend's spec and the spec: `("shuffled", "gist,ratio=8")`.

    The control is empty where there is none, and may be one that does not exist. The former name
    of a control becomes its present one.
    """
    found = _WRAPPED.fullmatch(text.strip())
    if not found:
        return "", text
    return _FORMER_NAMES.get(found["control"], found["control"]), found["backend"]


def wrap(control: str, spec: str) -> str:
    """Return the name of a configuration: the inverse of `split_control`."""
    return f"{control}({spec})" if control else spec


def present_name(configuration: str) -> str:
    """Return the name of a configuration with the present name of its control."""
    return wrap(*split_control(configuration))


def _own(samples: Sequence[Sample], seed: int) -> ControlledSamples:  # noqa: ARG001 - as the others
    return ControlledSamples(
        tuple(ControlledSample(s, (ContextAssignment(s.context, s.questions),)) for s in samples)
    )


def _oracle(samples: Sequence[Sample], seed: int) -> ControlledSamples:  # noqa: ARG001 - as the others
    """Assign to each question its supporting sentences; questions with the same ones share them."""
    controlled = []
    for sample in samples:
        by_support: dict[tuple[str, ...], list[Question]] = {}
        for question in sample.questions:
            if any(sentence.strip() for sentence in question.support):
                by_support.setdefault(question.support, []).append(question)
        if by_support:
            assignments = tuple(
                ContextAssignment(" ".join(support), tuple(questions), f"{number}.")
                for number, (support, questions) in enumerate(by_support.items())
            )
            controlled.append(ControlledSample(sample, assignments))
    total = sum(len(sample.questions) for sample in samples)
    missing = total - sum(each.questions for each in controlled)
    if not missing:
        return ControlledSamples(tuple(controlled))
    which = f"{missing:,} of {total:,}" if missing < total else f"all {total:,}"
    return ControlledSamples(tuple(controlled), f"{which} questions have no supporting sentences")


def _shuffled(samples: Sequence[Sample], seed: int) -> ControlledSamples:
    """Assign to each sample the context of another, of about the same size, drawn by the seed."""
    order = list(samples)
    random.Random(f"{seed}/swapped").shuffle(order)  # so that the pairs of older runs come again
    order.sort(key=lambda sample: len(sample.context))
    other = {order[at].id: _neighbour(order, at) for at in range(len(order))}
    controlled = tuple(
        ControlledSample(sample, (ContextAssignment(context, sample.questions),))
        for sample in samples
        if (context := other[sample.id]) is not None
    )
    return ControlledSamples(controlled, "" if controlled else "there is only one context")


def _neighbour(order: Sequence[Sample], at: int) -> str | None:
    """Return the nearest different context; where possible, two samples exchange theirs."""
    partner = at ^ 1
    places = chain([partner], _outwards(at, len(order)))
    contexts = (order[place].context for place in places if 0 <= place < len(order))
    return next((context for context in contexts if context != order[at].context), None)


def _outwards(at: int, size: int) -> Iterator[int]:
    for step in range(1, size):
        yield from (at - step, at + step)


CONTROLS: Mapping[str, Callable[[Sequence[Sample], int], ControlledSamples]] = MappingProxyType(
    {"": _own, "oracle": _oracle, "shuffled": _shuffled}
)
"""From samples and seed to what a backend reads; the name is written around the backend's spec."""
