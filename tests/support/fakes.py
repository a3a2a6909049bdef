"""A model, backends and suites without a neural network, for tests of the harness."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from harness.api import Generation, Model, Question, Sample, Tokenizer
from harness.errors import ContextTooLong, NotReady, OutOfMemory


class WordTokenizer:
    """One token per word."""

    def encode(self, text: str) -> list[int]:
        """Return one id per word."""
        return [int(hashlib.md5(word.encode()).hexdigest()[:6], 16) for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        """Return one word per id."""
        return " ".join(map(str, ids))


@dataclass
class FakeModel:
    """A model of no size."""

    name: str = "fake"
    fingerprint: str = "f1"
    prompt_hash: str = "p1"
    random_weights: bool = False
    max_positions: int = 100
    device: str = "cpu"
    tokenizer: Tokenizer = field(default_factory=WordTokenizer)
    log: list[str] = field(default_factory=list)  # calls of backends, in order

    def count_tokens(self, text: str) -> int:
        """Return the words of a text."""
        return len(self.tokenizer.encode(text))

    def describe(self) -> Mapping[str, Any]:
        """Return its numeric type."""
        return {"dtype": "float32"}

    def close(self) -> None:
        """Do nothing."""


@dataclass
class FakeContext:
    """Answers with the last word of its context."""

    context: str
    backend: "Fake"
    held_bytes: int = 1000

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer every question; one that says OOM or BUG ends in one."""
        self.backend.model.log.append(f"ask {len(questions)} {max_new_tokens} {min_new_tokens}")
        if any("OOM" in question for question in questions):
            raise MemoryError
        if any("BUG" in question for question in questions):
            raise LookupError("a fault of the program")
        words = self.context.split()
        if self.backend.gate is not None and len(words) == 3:
            self.backend.gate.with_name(f"waiting-{os.getpid()}").touch()
            wait_for(self.backend.gate)
        return [Generation(words[-1], len(words), len(words), 1, (words[-1],)) for _ in questions]

    def close(self) -> None:
        """Write down that it was closed."""
        self.backend.model.log.append("close context")


@dataclass
class Fake:
    """A backend whose contexts may hold `words` words, and cost memory from `full` words on."""

    model: FakeModel
    words: int = 1000
    full: int = 1000
    mib: int = 0  # touched in prepare, and freed
    gate: Path | None = None  # answers about 3 words wait until this folder exists
    note: str = ""
    languages: str = ""  # of its embedder

    def __post_init__(self) -> None:
        self.model.log.append(f"build {self.words}")

    def prepare(self, context: str) -> FakeContext:
        """Read a context."""
        self.model.log.append("prepare")
        if len(context.split()) > self.words:
            raise ContextTooLong(f"{len(context.split())} words, and {self.words} fit")
        if len(context.split()) > self.full:
            raise OutOfMemory("no room")
        bytearray(b"x") * (self.mib * 2**20)
        return FakeContext(context, self)

    def describe(self) -> Mapping[str, Any]:
        """Return what there is of a notice and of languages."""
        said = {"notice": self.note, "languages": self.languages}
        return {name: text for name, text in said.items() if text}

    def close(self) -> None:
        """Write down that it was closed."""
        self.model.log.append("close backend")


@dataclass
class Unready:
    """A backend that can only show its cost."""

    model: FakeModel
    untrained: bool = False

    def __post_init__(self) -> None:
        if not self.untrained:
            raise NotReady("no adapter. Train one with train-gist.", {"untrained": "true"})

    def prepare(self, context: str) -> FakeContext:
        """Read a context."""
        return Fake(self.model).prepare(context)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    def close(self) -> None:
        """Do nothing."""


@dataclass
class Broken:
    """A backend for any model that cannot read a context which starts with `w w`."""

    model: Model
    error: int | None = None  # what the system says; None: someone presses Ctrl-C
    out: Path | None = None  # it fails only once a run in this folder writes rows

    def prepare(self, context: str) -> FakeContext:
        """Read a context, or fail."""
        writes = self.out is None or any(self.out.glob("*/records.csv"))
        if writes and context.startswith("w w"):
            raise KeyboardInterrupt if self.error is None else OSError(self.error, "", "a/file")
        return Fake(FakeModel()).prepare(context)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    def close(self) -> None:
        """Do nothing."""


@dataclass
class Deadly(Fake):
    """A backend whose process is killed when it reads three words."""

    def prepare(self, context: str) -> FakeContext:
        """Read a context, or die."""
        if len(context.split()) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().prepare(context)


@dataclass
class Timed(Fake):
    """A backend that writes into a folder which process read what from when to when."""

    folder: Path = Path()

    def prepare(self, context: str) -> FakeContext:
        """Read a context, which takes a moment."""
        began = time.monotonic()
        time.sleep(0.05)
        with (self.folder / str(os.getpid())).open("a") as file:
            file.write(f"{began} {time.monotonic()} {context}\n")
        return super().prepare(context)


@dataclass
class Scored:
    """Contexts of growing size with questions about their last word."""

    contexts: int = 3
    questions: int = 3
    ask: str = "Last word?"
    data: Path | None = None

    metrics: ClassVar[tuple[str, ...]] = ("right", "optional")
    slice_names: ClassVar[tuple[str, ...]] = ("size", "kind")

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield contexts of 1, 2, ... words."""
        del tokenizer
        for size in range(1, self.contexts + 1):
            asked = tuple(
                Question(f"q{k}", self.ask, (f"w{seed}",), {"kind": "last"}, (f"w{seed}",))
                for k in range(self.questions)
            )
            context = " ".join(["w"] * (size - 1) + [f"w{seed}"])
            yield Sample(f"s{size}", context, asked, 5, slices={"size": str(size)})

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Return whether the answer is a target of the question, and in the context."""
        del context
        return {"right": float(answer in question.targets)}


@dataclass
class Costs:
    """A sweep over the size and the number of contexts held, without a score."""

    sizes: tuple[int, ...] = (1, 2, 3)
    held: tuple[int, ...] = (1, 2)

    metrics: ClassVar[tuple[str, ...]] = ()
    slice_names: ClassVar[tuple[str, ...]] = ("size",)

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield every size with every number of contexts held."""
        del tokenizer, seed
        for size in self.sizes:
            for held in self.held:
                asked = (Question("a", "?", ()), Question("b", "?", ()))
                slices = {"size": str(size)}
                name = f"{size}x{held}"
                yield Sample(name, "w " * size, asked, 4, 4, slices, contexts_held=held)

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Fail: a suite without metrics is not asked for any."""
        raise AssertionError((question, answer, context))


def wait_for(path: Path) -> None:
    """Return once a folder exists, or fail when whoever should make it is gone."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"nobody made {path}"
        time.sleep(0.005)
