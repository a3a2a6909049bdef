"""A backend as the runner sees it, with someone who watches what it does.

The runner prepares and asks through these two classes as through any backend; they pass everything
on and write down what they saw.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch

from gist.models.model import LanguageModel
from gist.watch import Pass, probe, reading, watching
from harness.api import Backend, Generation, LearningBackend, PreparedContext, Question
from harness.checks.holdings import Holdings, holdings, living_tensors, places_of


@dataclass
class Observed:
    """What a backend was given, and what it did, for one context."""

    context: str
    questions: list[tuple[str, ...]] = field(default_factory=list)  # of each batch
    handed: tuple[Question, ...] | None = None  # to a backend that wants to learn from questions
    reading: list[Pass] = field(default_factory=list)  # of the model, while the context is read
    passes: list[list[Pass]] = field(default_factory=list)  # of the model, for each batch
    differences: list[float] = field(default_factory=list)  # from the base model's logits
    held: list[Holdings] = field(default_factory=list)  # after reading, and after each batch
    elsewhere_bytes: int = 0  # of tensors that reading left behind, out of the context's reach
    poisoned: int = 0  # tensors that were overwritten


@dataclass
class Watched:
    """A backend whose every step is written down."""

    inner: Backend
    lm: LanguageModel
    known: Holdings  # what the backend had before it read anything
    base: torch.Tensor | None  # logits of the base model: what it should be; None: an adapter is on
    poison: bool = False  # overwrite all that was read and is not kept
    instead: Mapping[str, str] = field(default_factory=dict)  # what is asked in place of a question
    observed: list[Observed] = field(default_factory=list)

    @property
    def wants_questions(self) -> bool:
        """What the backend says."""
        return bool(getattr(self.inner, "wants_questions", False))

    def prepare(self, context: str, questions: Sequence[Question] = ()) -> "WatchedContext":
        """Have the backend read a context, and learn from questions if it wants them."""
        seen = Observed(context, handed=tuple(questions) if self.wants_questions else None)
        self.observed.append(seen)
        before = living_tensors()
        with ExitStack() as looks:
            # It keeps alive all that is read: only where that is overwritten and let go of.
            read = looks.enter_context(reading(self.lm)) if self.poison else []
            # Then the comparison is left out: it would read into a cache of its own.
            at_first = (lambda: None) if self.poison else (lambda: self._compare(seen))
            seen.reading = looks.enter_context(watching(self.lm, at_first=at_first))
            state = self._read(context, questions)
        watched = WatchedContext(state, self, seen)
        watched.note()
        kept = {**seen.held[-1].tensors, **self.known.tensors}
        seen.poisoned = _overwrite(read, kept)
        read.clear()
        new = living_tensors().items() - before.items()
        seen.elsewhere_bytes = sum(size for at, size in new if at not in kept)
        return watched

    def _read(self, context: str, questions: Sequence[Question]) -> PreparedContext:
        if self.wants_questions:
            return cast(LearningBackend, self.inner).prepare(context, questions)
        return self.inner.prepare(context)

    def _compare(self, seen: Observed) -> None:
        if self.base is not None:
            seen.differences.append(float((probe(self.lm) - self.base).abs().max()))

    def describe(self) -> Mapping[str, Any]:
        """Return what the backend says of itself."""
        return self.inner.describe()

    def close(self) -> None:
        """Leave it open: whoever built it closes it."""


@dataclass
class WatchedContext:
    """A prepared context whose answers are watched."""

    inner: PreparedContext
    backend: Watched
    seen: Observed

    @property
    def held_bytes(self) -> int | None:
        """What the context reports."""
        return self.inner.held_bytes

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Have the questions answered, or others in their place."""
        asked = [self.backend.instead.get(question, question) for question in questions]
        lm = self.backend.lm
        with watching(lm, at_first=lambda: self.backend._compare(self.seen)) as passes:
            answers = self.inner.generate(
                asked, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens
            )
        self.seen.questions.append(tuple(asked))
        self.seen.passes.append(passes)
        self.note()
        return answers

    def note(self) -> None:
        """Write down what is held now: by the context, its backend, their classes and modules."""
        backend = self.backend.inner
        roots = (self.inner, *vars(backend).values(), *places_of(backend, self.inner))
        self.seen.held.append(holdings(roots, known=self.backend.known))

    def close(self) -> None:
        """Free what the context keeps."""
        self.inner.close()


def known_of(backend: Backend, lm: LanguageModel) -> Holdings:
    """Return what a backend has before it reads, and the model's own weights."""
    model = (lm, lm.model, lm.tokenizer, *lm.model.modules())
    known = holdings((backend, *places_of(backend)), apart_from=model)
    for each in (*lm.model.parameters(), *lm.model.buffers()):
        storage = each.untyped_storage()
        known.tensors[storage.data_ptr()] = storage.nbytes()
    return replace(known, objects=(*known.objects, *model))


@torch.no_grad()
def _overwrite(read: Sequence[torch.Tensor], spared: Mapping[int, int]) -> int:
    """Write NaN into tensors, but for those whose storage is spared; return how many."""
    count = 0
    for tensor in read:
        if tensor.untyped_storage().data_ptr() not in spared and tensor.is_floating_point():
            with torch.inference_mode():
                tensor.fill_(torch.nan)
            count += 1
    return count
