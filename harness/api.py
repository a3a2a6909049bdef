"""The contracts between the harness, the backends and the suites. Standard library only.

A suite yields samples: one context with all its questions. A backend reads a context once
(`prepare`) and returns a state that can be asked any number of times (`generate`). The runner
stands between them and owns the clock, the memory peak and the records; neither side measures
itself. Suites and backends are dataclasses: their fields are their options.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

ABSTENTION = "not in the text"
"""What the prompt asks for when the context does not hold the answer."""

BUDGET: Mapping[str, str] = MappingProxyType({"gist-bench": "budget"})
"""Metadata of the option that sets how many KV entries a backend keeps for a context: what
`run --budget` sets. `tokens: int | None = field(default=None, metadata=BUDGET)`"""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The user turn, in the pieces that every arm shares: head, context, between, question."""

    head: str  # instruction, before the context
    between: str  # between context and question
    tail: str  # after the question, for models without a chat template


PROMPT = Prompt(
    head=(
        "Answer the question from the text, in as few words as you can. "
        f"If the text does not say, answer: {ABSTENTION}\n\nText:\n"
    ),
    between="\n\nQuestion: ",
    tail="\nAnswer:",
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a context."""

    id: str
    text: str
    targets: tuple[str, ...]  # accepted answers; empty: the context does not hold the answer
    slices: Mapping[str, str] = field(default_factory=dict)  # columns to group by: kind, template
    support: tuple[str, ...] = ()  # the sentences of the context that prove the answer


@dataclass(frozen=True, slots=True)
class Sample:
    """One context and all the questions about it."""

    id: str
    context: str
    questions: tuple[Question, ...]
    max_new_tokens: int
    min_new_tokens: int = 0  # end tokens are not accepted before this many
    slices: Mapping[str, str] = field(default_factory=dict)
    contexts_held: int = 1  # how many such contexts are prepared and kept at once


@dataclass(frozen=True, slots=True)
class Source:
    """A document as text, and the file that it was read from."""

    name: str
    text: str
    sha256: str  # of the file's bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer and what the model attended to when it gave it."""

    text: str
    prompt_tokens: int  # KV entries in front of the first new token, cached ones included
    context_entries: int  # those of them that stand for the context
    new_tokens: int
    evidence: tuple[str, ...] = ()  # passages the model was shown, if it was not shown all


class Tokenizer(Protocol):
    """The tested model's tokenizer, without special tokens in either direction."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; text that looks like a special token is plain text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, special tokens left out."""
        ...


class Model(Protocol):
    """A loaded language model, as far as the harness looks at it. Backends know its class."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of its configuration and sampled weights."""
        ...

    @property
    def prompt_hash(self) -> str:
        """A hash of the prompt's pieces as token ids."""
        ...

    @property
    def random_weights(self) -> bool:
        """Whether it is an architecture without trained weights: costs only, no answers."""
        ...

    @property
    def max_positions(self) -> int:
        """Positions that a sequence may have, prompt and answer included."""
        ...

    @property
    def device(self) -> str:
        """The type of the device that holds its weights."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return what `run.json` should say of it: dtype, parameters, quantisation, revision."""
        ...


class PreparedContext(Protocol):
    """A context that a backend has read once; asking leaves it as it was."""

    @property
    def held_bytes(self) -> int:
        """Exact bytes that this state keeps: KV entries, or index and texts."""
        ...

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer a batch of questions greedily, each as if it had been asked alone."""
        ...

    def close(self) -> None:
        """Give back what the state keeps."""
        ...


class Backend(Protocol):
    """A way to give a model a context.

    A dataclass whose first field, `model`, is handed in by the harness; the others are options.
    Raises `harness.errors.SampleError` for a context it cannot hold, `NotReady` when it is built.
    """

    def prepare(self, context: str) -> PreparedContext:
        """Read a context once."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return what else decides the answers: adapter hash, resolved embedder, ..."""
        ...

    def close(self) -> None:
        """Leave the model as it was found."""
        ...


class Suite(Protocol):
    """A source of samples and the scorer of their answers. A dataclass; its fields are options."""

    metrics: ClassVar[tuple[str, ...]]  # the first is the headline; none: the suite shows costs
    slice_names: ClassVar[tuple[str, ...]]  # the columns that its samples and questions fill

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield the samples; sample k does not depend on how many are drawn."""
        ...

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Return the metrics of one answer; a metric that does not apply is left out."""
        ...
