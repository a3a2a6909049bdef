"""What a training is fed: suites and files as plain text for `gist`, some contexts held back."""

import hashlib
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from harness.api import ABSTENTION, Sample, Suite, Tokenizer
from harness.errors import UserError
from harness.files import file_hash
from harness.run import plugins
from harness.run.plan import file_of
from harness.run.spec import Spec, build

HELD_SHARE = 0.1  # most of a file's contexts that are held back
FEWEST = 10  # a file of fewer contexts is trained on whole
HELD_GROUPS = 4  # no story or document gives more than a quarter of the held-out contexts
TRIES = 8  # questions drawn until a context does not hold the answer
HELD_SEED = 2**31  # of suites without end; training draws smaller seeds


Item = tuple[str, Sequence[tuple[str, str]]]
"""A context and its (question, answer) pairs, as text."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What one suite or file gives to training: a `gist.training.stages.Feed`."""

    source: Callable[[int], Iterator[Item]]  # from a seed
    held: Sequence[Item] = ()  # contexts that training never sees
    contexts: int | None = None  # of a file, without those held back; None: without end
    rows: Mapping[str, Item] = field(default_factory=dict)  # of a file, by what a message names


def feed(text: str, tokenizer: Tokenizer, *, hold: int, unanswerable: float = 0.0) -> Feed:
    """Return what a suite gives to training.

    A suite over a file has the same samples whatever the seed: they are shuffled by it, and some
    are held back, whole stories or documents at a time (the part of an id before its last dot);
    of a long one some contexts are scored, and the others not used at all.

    Args:
        text: a suite's spec.
        tokenizer: of the model that is trained.
        hold: most contexts to hold back.
        unanswerable: share of a file's questions that are asked of another of its contexts, where
            the answer is that it does not say. None of those held back are.

    Raises:
        UserError: there is nothing to learn in it.
    """
    suite = build_suite(text)
    if getattr(suite, "data", None) is None:
        held = list(islice(_items(suite, tokenizer, HELD_SEED), hold))
        return Feed(lambda seed: _items(suite, tokenizer, seed), held)
    samples = list(suite.samples(tokenizer, 0))
    if not any(question.targets for sample in samples for question in sample.questions):
        raise UserError(f"{text} has no question that its contexts answer: nothing can be learnt.")
    held_groups = _held_back(samples, hold)
    names = {sample.id for group in held_groups for sample in group}
    share = math.ceil(hold / HELD_GROUPS)
    held_samples = [sample for group in held_groups for sample in _evenly(group, share)][:hold]
    kept = [item for sample in samples if sample.id not in names for item in _item(sample)]

    def shuffled(seed: int) -> Iterator[Item]:
        rng = random.Random(seed)
        drawn = rng.sample(kept, len(kept))
        return (_with_unanswerable(item, kept, unanswerable, rng) for item in drawn)

    rows = {
        f"{text}, row {number} ({sample.id})": item
        for number, sample in enumerate(samples, start=1)
        for item in _item(sample)
    }
    return Feed(shuffled, [item for s in held_samples for item in _item(s)], len(kept), rows)


def _with_unanswerable(
    item: Item, others: Sequence[Item], share: float, rng: random.Random
) -> Item:
    """Return a context with a share of its questions replaced by those of others."""
    if not share:
        return item
    context, pairs = item
    asked = []
    for pair in pairs:
        other = _unanswerable(item, others, rng) if rng.random() < share else None
        asked.append(other or pair)
    return context, asked


def _unanswerable(item: Item, others: Sequence[Item], rng: random.Random) -> tuple[str, str] | None:
    """Return a question of another context; None if this one seems to answer those drawn."""
    context, known = item[0].lower(), {question for question, _ in item[1]}
    for _ in range(TRIES):
        question, answer = rng.choice(rng.choice(others)[1])
        if question not in known and answer != ABSTENTION and answer.lower() not in context:
            return question, ABSTENTION
    return None


def data_hash(named: Mapping[str, str]) -> str:
    """Return a hash of the sources: their options, and the bytes of the files they read."""
    digest = hashlib.sha256()
    for name, text in sorted(named.items()):
        digest.update(f"{name}={text}\n".encode())
        data = getattr(build_suite(text), "data", None)
        if data and (path := file_of(str(data))).is_file():
            digest.update(bytes.fromhex(file_hash(path)))
    return digest.hexdigest()[:16]


def texts(text: str, count: int) -> Iterator[str]:
    """Yield the texts of a suite's first samples, before there is a tokenizer."""
    for context, pairs in islice(_items(build_suite(text), _Words(), 0), count):
        yield context
        yield from chain(*pairs)


def build_suite(text: str) -> Suite:
    """Return the suite of a spec."""
    spec = Spec.parse(text)
    suite: Suite = build(plugins.load(plugins.SUITES, spec.name), spec)
    return suite


def _held_back(samples: Sequence[Sample], hold: int) -> list[list[Sample]]:
    """Return the samples to hold back: whole groups, so that no part of a story is trained on."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.id.rpartition(".")[0] or sample.id, []).append(sample)
    if len(groups) < FEWEST:
        groups = {sample.id: [sample] for sample in samples}
    room = int(len(samples) * HELD_SHARE) if len(groups) >= FEWEST else 0
    share, held = math.ceil(hold / HELD_GROUPS), []
    for name in random.Random(0).sample(sorted(groups), len(groups)):
        scored = min(len(groups[name]), share)
        if scored <= hold and len(groups[name]) <= room:
            held.append(groups[name])
            hold, room = hold - scored, room - len(groups[name])
    return held


def _evenly(group: Sequence[Sample], count: int) -> list[Sample]:
    """Return at most `count` samples, evenly from the beginning to the end of a group."""
    count = min(count, len(group))
    return [group[len(group) * i // count] for i in range(count)]


def _items(suite: Suite, tokenizer: Tokenizer, seed: int) -> Iterator[Item]:
    for sample in suite.samples(tokenizer, seed):
        yield from _item(sample)


def _item(sample: Sample) -> Iterator[Item]:
    pairs = [(q.text, _answer(q.targets, sample.context)) for q in sample.questions]
    if pairs:
        yield sample.context, pairs


def _answer(targets: Sequence[str], context: str) -> str:
    """Return the answer to be learnt: the first as the context writes it, if it writes any."""
    written = (target for target in targets if target in context)
    return next(chain(written, targets), ABSTENTION)


class _Words:
    """Stands in for a tokenizer before there is one: a token is a word."""

    def encode(self, text: str) -> list[int]:
        return [0] * len(text.split())

    def decode(self, ids: Sequence[int]) -> str:  # noqa: ARG002 - part of the contract
        return ""
