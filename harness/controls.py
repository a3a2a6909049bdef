"""What the runner hands to a backend: a sample's own context, or, as a control, another one.

    gist                 the sample's own context
    swapped(gist)        another sample's context: what its answers show was not read
    oracle(full)         the sentences that prove the answer, and no others: what is there to lose

Written around a backend, a control works with every one of them and is known to none. Scores,
targets and `context_tokens` stay those of the sample's own context.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from harness.api import Question, Sample

_WRAPPED = re.compile(r"(?P<control>\w+)\((?P<backend>.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reading:
    """A context that a backend reads, and the questions that are asked of it."""

    context: str
    questions: tuple[Question, ...]
    label: str = ""  # tells the batches of a sample's readings apart


@dataclass(frozen=True, slots=True)
class Task:
    """A sample as one backend is given it: one reading, or several one after the other."""

    sample: Sample
    readings: tuple[Reading, ...]

    @property
    def questions(self) -> int:
        """How many rows it has when it is finished."""
        return sum(len(reading.questions) for reading in self.readings)


@dataclass(frozen=True, slots=True)
class Given:
    """What a control makes of a suite's samples."""

    tasks: tuple[Task, ...]  # samples of which nothing is left are not among them
    left_out: str = ""  # what is missing, and why


def split_control(text: str) -> tuple[str, str]:
    """Return the control around a backend's spec and the spec: `("swapped", "gist,ratio=8")`.

    The control is empty where there is none, and may be one that does not exist.
    """
    found = _WRAPPED.fullmatch(text.strip())
    return (found["control"], found["backend"]) if found else ("", text)


def wrap(control: str, spec: str) -> str:
    """Return the name of an arm: what `split_control` takes apart."""
    return f"{control}({spec})" if control else spec


def _own(samples: Sequence[Sample], seed: int) -> Given:  # noqa: ARG001 - as the others
    return Given(tuple(Task(s, (Reading(s.context, s.questions),)) for s in samples))


def _oracle(samples: Sequence[Sample], seed: int) -> Given:  # noqa: ARG001 - as the others
    """Give every question its own proving sentences; questions with the same ones share them."""
    tasks = []
    for sample in samples:
        proven: dict[tuple[str, ...], list[Question]] = {}
        for question in sample.questions:
            if any(sentence.strip() for sentence in question.support):
                proven.setdefault(question.support, []).append(question)
        if proven:
            readings = [
                Reading(" ".join(proof), tuple(asked), f"{number}.")
                for number, (proof, asked) in enumerate(proven.items())
            ]
            tasks.append(Task(sample, tuple(readings)))
    total = sum(len(sample.questions) for sample in samples)
    missing = total - sum(task.questions for task in tasks)
    if not missing:
        return Given(tuple(tasks))
    which = f"{missing:,} of {total:,}" if missing < total else f"all {total:,}"
    return Given(tuple(tasks), f"{which} questions name no sentences that prove their answer")


def _swapped(samples: Sequence[Sample], seed: int) -> Given:
    """Give every sample another one's context, of about the same size, drawn by the seed."""
    order = list(samples)
    random.Random(f"{seed}/swapped").shuffle(order)
    order.sort(key=lambda sample: len(sample.context))
    other = {order[at].id: _neighbour(order, at) for at in range(len(order))}
    tasks = [
        Task(sample, (Reading(context, sample.questions),))
        for sample in samples
        if (context := other[sample.id]) is not None
    ]
    return Given(tuple(tasks), "" if tasks else "there is only one context")


def _neighbour(order: Sequence[Sample], at: int) -> str | None:
    """Return the nearest context that is another one; pairs are swapped where that can be."""
    partner = at ^ 1
    steps = chain([partner], _outwards(at, len(order)))
    contexts = (order[place].context for place in steps if 0 <= place < len(order))
    return next((context for context in contexts if context != order[at].context), None)


def _outwards(at: int, size: int) -> Iterator[int]:
    for step in range(1, size):
        yield from (at - step, at + step)


CONTROLS: Mapping[str, Callable[[Sequence[Sample], int], Given]] = MappingProxyType(
    {"": _own, "oracle": _oracle, "swapped": _swapped}
)
"""From samples and seed to what is read; the name is written around the backend's spec."""
