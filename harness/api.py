"""The contracts between the harness, the backends and the suites. Standard library only.

A suite yields samples: one context with all its questions. A backend reads a context once
(`prepare`) and returns a state that can be asked any number of times (`generate`). The runner
stands between them and owns the clock, the memory peak and the records; neither side measures
itself. Suites and backends are dataclasses: their fields are their options.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

ABSTENTION = "not in the text"
"""The answer that the prompt asks for when the context does not hold one."""

BUDGET: MappingProxyType[str, Any] = MappingProxyType({"gist-bench": "budget"})
"""Metadata of the option that `run --budget` sets: how many KV entries a backend keeps for a
context. `tokens: int | None = field(default=None, metadata=BUDGET)`"""

SERVER = "server"
"""The device of a model behind a server: its memory and its processor are not known."""


class WorkedExample(NamedTuple):
    """A short text with a question and its answer, as the model should answer."""

    text: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The user turn, in the pieces that every backend shares: head, context, between, question."""

    head: str  # instruction, before the context
    between: str  # between context and question
    tail: str  # after the question, for models without a chat template
    examples: tuple[WorkedExample, ...] = ()  # earlier turns, in front of the head


PROMPT = Prompt(
    head=(
        "Answer the question from the text, in as few words as you can. "
        f"If the text does not say, answer: {ABSTENTION}\n\nText:\n"
    ),
    between="\n\nQuestion: ",
    tail="\nAnswer:",
)

SHOTS = (0, 2, 4)
"""Numbers of worked examples that a prompt may carry: the last so many of `EXAMPLES`."""

# With the unanswerable one last, a small model refuses most questions; so it stands early.
EXAMPLES = (
    WorkedExample(
        "The lighthouse of Lindow was built in 1871 by the engineer Clara Voss. It is 34 metres "
        "high, and was painted red after the storm of 1903.",
        "Who built the lighthouse?",
        "Clara Voss",
    ),
    WorkedExample(
        "The village of Tarn has a bakery, a school and two mills. The older mill grinds rye; the "
        "newer one has stood empty since the flood.",
        "When was the school opened?",
        ABSTENTION,
    ),
    WorkedExample(
        "Otters rest on their backs and hold hands so that they do not drift apart. A pup floats "
        "from its first day, because its fur is full of air.",
        "Why does a pup float?",
        "its fur is full of air",
    ),
    WorkedExample(
        "The orchestra left its old theatre in the spring of 2011 and moved into the former grain "
        "hall, which seats 1,240 people and has a better organ.",
        "How many people does the grain hall seat?",
        "1,240",
    ),
)


def prompt_with(shots: int) -> Prompt:
    """Return the prompt with so many worked examples, the same for every backend."""
    return replace(PROMPT, examples=EXAMPLES[len(EXAMPLES) - shots :])


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a context."""

    id: str
    text: str
    targets: tuple[str, ...]  # accepted answers; empty: the context does not hold the answer
    slices: Mapping[str, str] = field(default_factory=dict)  # columns to group by: kind, template
    support: tuple[str, ...] = ()  # the sentences of the context that support the answer
    choices: tuple[str, ...] = ()  # what an answer can be, where it is one of several classes


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
    notice: str = ""  # what a reader of the results should know; the same for many samples


@dataclass(frozen=True, slots=True)
class Metric:
    """What a figure means. Suites define theirs in the entry point group `gist_bench.metrics`."""

    name: str  # as a column of records.csv, or as `compare --fail-on` calls it
    meaning: str  # whole sentences
    unit: str = "0 to 1"  # or "s", "bytes", "tokens", ...
    better: Literal["higher", "lower", "neither"] = "higher"
    source: str = "this project"  # of the definition
    judges: bool = False  # 1 means that the answer is right
    compares_whole: bool = False  # a right answer in a sentence of its own scores less than 1
    kind: Literal["answer", "cost", "comparison"] = "answer"
    headings: tuple[str, ...] = ()  # what tables call it, if not by its name
    is_column: bool = True  # stored in records.csv; else derived from what is
    is_exact: bool = False  # the same in every run on the same rows: nothing to be estimated

    @property
    def is_time(self) -> bool:
        """Whether it depends on the machine's speed."""
        return self.unit in ("s", "tokens/s")


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
    # KV entries in front of the first new token, cached ones included; None: nobody knows
    prompt_tokens: int | None
    context_entries: int | None  # how many of them stand for the context
    new_tokens: int | None
    evidence: tuple[str, ...] = ()  # passages the model was shown, if it was not shown all
    cut: bool = False  # max_new_tokens came before an end token
    first_token_s: float | None = None  # from the request to its first token, where it is streamed


@dataclass(frozen=True, slots=True)
class Shown:
    """A question, and the text that a prompt shows in place of the context."""

    question: str
    text: str
    evidence: tuple[str, ...] = ()  # its parts, if they are not the whole context


class Tokenizer(Protocol):
    """The tested model's tokenizer, without special tokens in either direction."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; text that looks like a special token is plain text."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, special tokens left out."""


class Model(Protocol):
    """A loaded language model, as far as the harness uses it. Backends know its class."""

    @property
    def name(self) -> str:
        """Its name, as the user gave it."""

    @property
    def fingerprint(self) -> str:
        """A hash of its configuration and sampled weights."""

    @property
    def prompt_hash(self) -> str:
        """A hash of the prompt's pieces as token ids."""

    @property
    def random_weights(self) -> bool:
        """Whether it is an architecture without trained weights: costs only, no answers."""

    @property
    def max_positions(self) -> int | None:
        """Positions that a sequence may have, prompt and answer included; None: not known."""

    @property
    def device(self) -> str:
        """The type of the device that holds its weights; `SERVER` if it is not one of ours."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""

    def count_tokens(self, text: str) -> int | None:
        """Return how many tokens a text has; None where nobody knows the tokenizer."""

    def describe(self) -> Mapping[str, Any]:
        """Return what `run.json` should say of it: dtype, parameters, quantisation, revision."""


class ServedModel(Model, Protocol):
    """A model that answers prompts, and whose KV entries are out of reach: one behind a server."""

    def answer(
        self, requests: Sequence[Shown], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer each request from its own text, all at once.

        Raises:
            harness.errors.ContextTooLong: a prompt is longer than the server reads.
        """

    def write(self, instruction: str, text: str, *, max_new_tokens: int) -> str:
        """Return what it writes as it is told to about a text, thoughts left out.

        Raises:
            harness.errors.ContextTooLong: as `answer`.
        """


class PreparedContext(Protocol):
    """A context that a backend has read once; asking leaves it as it was."""

    @property
    def held_bytes(self) -> int | None:
        """Exact bytes that this state keeps: KV entries, or index and texts; None: not known."""

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer a batch of questions greedily, each as if it had been asked alone."""

    def close(self) -> None:
        """Free what the state keeps."""


class Backend(Protocol):
    """A way to give a model a context.

    A dataclass. The harness fills its first field, `model`; the other fields are options. With
    `runs_unasked: ClassVar[bool] = False` it runs only where it is named, or at a budget.
    Raises `harness.errors.SampleError` for a context it cannot hold, `NotReady` when it is built.
    """

    def prepare(self, context: str) -> PreparedContext:
        """Read a context once."""

    def describe(self) -> Mapping[str, Any]:
        """Return what decides the answers beside the options: adapter hash, embedder, ..."""

    def close(self) -> None:
        """Leave the model as it was found."""


class LearningBackend(Backend, Protocol):
    """A backend that learns from questions with answers, beside the context itself.

    With `wants_questions: ClassVar[bool] = True` it is handed those that the harness makes of the
    context's own sentences, never one that will be asked.
    """

    wants_questions: ClassVar[bool]

    def prepare(self, context: str, questions: Sequence[Question] = ()) -> PreparedContext:
        """Read a context once, and learn from the questions; the first target is the answer."""


class Suite(Protocol):
    """A source of samples and the scorer of their answers. A dataclass; its fields are options."""

    # The first is the headline (see `harness.run.headline`); none: the suite shows costs.
    metrics: ClassVar[tuple[str, ...]]
    slice_names: ClassVar[tuple[str, ...]]  # the columns that its samples and questions fill

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield the samples; sample k does not depend on how many are drawn."""

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Return the metrics of one answer; a metric that does not apply is left out."""
