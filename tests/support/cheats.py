"""Backends that cheat: what each of them reports looks better than what it does.

`above` makes a fault sleep on contexts of so many tokens or fewer.
"""

import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from peft.tuners.lora import LoraLayer

from backends.full import Full
from backends.gist import Gist
from backends.kv.adapter import load_adapter
from backends.kv.cached import CachedContext
from backends.rag import Rag
from gist.decode import read
from harness.api import Generation, PreparedContext

NOTES: dict[str, Any] = {}
"""A place that belongs to no prepared context."""


@dataclass
class Altered:
    """A prepared context whose figures or answers are changed."""

    inner: PreparedContext
    shown_bytes: int
    answers: Callable[..., list[Generation]]
    kept: Any = None  # something else that is held

    @property
    def held_bytes(self) -> int:
        """What it says."""
        return self.shown_bytes

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer in its own way."""
        return self.answers(questions, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens)

    def close(self) -> None:
        """Close what is behind it."""
        self.inner.close()


@dataclass
class Cheat(Gist):
    """Gists, with a fault on contexts of more than `above` tokens."""

    above: int = 0

    def prepare(self, context: str) -> Any:
        """Compress the context, or cheat."""
        honest = super().prepare(context)
        awake = len(self.model.tokenizer.encode(context)) > self.above
        return self.cheat(context, honest) if awake else honest

    def whole(self, context: str) -> CachedContext:
        """Read all of the context and keep it, under the adapter."""
        ids = self.model.tokenizer.encode(context)
        state = read(self.model, [*self.model.prompt.before, *ids])
        return CachedContext(self.model, state, context_entries=len(ids))

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Return what is prepared instead."""
        raise NotImplementedError


class SecretContext(Cheat):
    """Answers with the full context, and reports the gists."""

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Keep both."""
        full = self.whole(context)

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            fair = honest.generate(questions, **limits)
            return [
                replace(
                    said, prompt_tokens=shown.prompt_tokens, context_entries=shown.context_entries
                )
                for said, shown in zip(full.generate(questions, **limits), fair, strict=True)
            ]

        return Altered(honest, honest.held_bytes, answers, full)


class TellsNoTokens(Cheat):
    """Keeps the full context, says how few entries stand for it, and of the prompt nothing."""

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Leave a figure out, so that none contradicts it."""
        full = self.whole(context)

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            found = full.generate(questions, **limits)
            return [
                replace(said, prompt_tokens=None, context_entries=honest.context_entries)
                for said in found
            ]

        return Altered(full, full.held_bytes, answers)


class FewEntries(Cheat):
    """Keeps the full context and says so, but calls most of it the prompt."""

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Report the context as if it were compressed."""
        full = self.whole(context)
        full.context_entries = honest.context_entries
        return full


class HalfTheBytes(Cheat):
    """Reports half of what is held."""

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Halve it."""
        del context
        return Altered(honest, honest.held_bytes // 2, honest.generate)


class KeptInTheBackend(Cheat):
    """Keeps the cache of the full context where no prepared context leads."""

    stash: ClassVar[list[Any]] = []

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Put it away."""
        self.stash.append(Full.prepare(self, context))  # type: ignore[arg-type]
        return honest


@dataclass
class KeptText(Cheat):
    """Keeps the text out of reach and reads it again for each question: it reports nothing."""

    place: str = "module"  # or the class, a field of the backend, token ids in the context

    shelf: ClassVar[list[Any]] = []
    _own: dict[str, Any] = field(default_factory=dict, init=False)

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Put it away."""
        kept: Any = zlib.compress(context.encode())
        ids: list[int] = []
        if self.place == "module":
            NOTES["text"] = kept
        elif self.place == "class":
            self.shelf.append(kept)
        elif self.place == "field":
            self._own["text"] = kept
        else:
            ids = self.model.tokenizer.encode(context)

        def text() -> str:
            packed: dict[str, Any] = {
                "module": NOTES.get("text"),
                "class": (self.shelf or [None])[-1],
            }
            found = packed.get(self.place) or self._own.get("text")
            return self.model.tokenizer.decode(ids) if ids else zlib.decompress(found).decode()

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            return self.whole(text()).generate(questions, **limits)

        honest.close()
        return Altered(_Nothing(), 0, answers, ids)


class _Nothing:
    held_bytes = 0

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        raise NotImplementedError

    def close(self) -> None:
        pass


class KeptOnDisk(Cheat):
    """Writes its gists into a file, loads them for each question, and reports nothing."""

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Save the state."""
        del context
        path = Path(tempfile.mkdtemp()) / "gists.pt"
        torch.save(honest.state, path)
        entries = honest.context_entries
        honest.close()

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            state = torch.load(path, weights_only=False)
            return CachedContext(self.model, state, entries).generate(questions, **limits)

        return Altered(_Nothing(), 0, answers)


class FewNewTokens(Cheat):
    """Counts less than it has generated."""

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Say one."""
        del context

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            return [replace(s, new_tokens=1) for s in honest.generate(questions, **limits)]

        return Altered(honest, honest.held_bytes, answers)


class ClaimedEvidence(Cheat):
    """Reports passages that the model was not shown: evidence recall is perfect."""

    def prepare(self, context: str) -> Any:
        """Read nothing but the end, and report the beginning."""
        if len(self.model.tokenizer.encode(context)) <= self.above:
            return super().prepare(context)
        seen = self.whole(" ".join(context.split()[-4:]))

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            found = seen.generate(questions, **limits)
            return [replace(said, evidence=(context[: len(context) // 2],)) for said in found]

        return Altered(seen, seen.held_bytes, answers)


class LateCompression(Cheat):
    """Compresses when the first question is known, with the question in front."""

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Wait for the question."""

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            found: list[Generation] = []
            for question in questions:
                state = Gist.prepare(self, f"{question} {context}")
                state.context_entries = honest.context_entries
                found += state.generate([question], **limits)
            return found

        return Altered(honest, honest.held_bytes, answers)


class FirstQuestion(Cheat):
    """Remembers what a context was asked first, and asks that with every question."""

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Wait for the first question."""
        del context
        first: list[str] = []

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            first.append(questions[0])
            together = [first[0] if q == questions[-1] else q for q in questions]
            return honest.generate(together, **limits)

        return Altered(honest, honest.held_bytes, answers)


class Memory(Cheat):
    """Answers a question as it was answered before, whatever the context."""

    said: ClassVar[dict[str, Generation]] = {}

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Look the answers up."""
        del context

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            new = [question for question in questions if question not in self.said]
            if new:
                found = zip(new, honest.generate(new, **limits), strict=True)
                self.said.update(found)
            return [self.said[question] for question in questions]

        return Altered(honest, honest.held_bytes, answers)


class OldAnswers(Cheat):
    """Computes an answer, and gives one that it has from elsewhere."""

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Replace the texts."""
        del context

        def answers(questions: Sequence[str], **limits: int) -> list[Generation]:
            return [replace(s, text="Ann Lee") for s in honest.generate(questions, **limits)]

        return Altered(honest, honest.held_bytes, answers)


class Hinted(Cheat):
    """Compresses the questions too, if someone hands them over."""

    questions: ClassVar[tuple[str, ...]] = ()

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Compress something else, to the same size."""
        hinted = Gist.prepare(self, " ".join([*self.questions, context])[: len(context)])
        return hinted if self.questions else honest


@dataclass
class AdapterLeftOn(Full):
    """Full context under the adapter, which it does not mention."""

    above: int = 0

    def prepare(self, context: str) -> CachedContext:
        """Read with the adapter."""
        if self._adapter is None and len(self.model.tokenizer.encode(context)) > self.above:
            self._adapter = load_adapter(self.model, self.checkpoint)
        return super().prepare(context)

    def describe(self) -> Mapping[str, Any]:
        """Say nothing of it."""
        return {}


@dataclass
class MergedOnClose(Cheat):
    """Leaves the adapter in the weights of the base model."""

    _seen: bool = field(default=False, init=False)

    def cheat(self, context: str, honest: CachedContext) -> Any:
        """Remember that there was a context."""
        del context
        self._seen = True
        return honest

    def close(self) -> None:
        """Merge, where a context was read."""
        for module in self.model.model.modules() if self._seen else ():
            if isinstance(module, LoraLayer):
                module.get_base_layer().weight.data += module.get_delta_weight("default")
        super().close()


@dataclass
class ToldRag(Rag):
    """Retrieval that shows the supporting sentences, if someone hands them over."""

    above: int = 0
    support: ClassVar[dict[str, tuple[str, ...]]] = {}

    def prepare(self, context: str) -> Any:
        """Make the context searchable."""
        state = super().prepare(context)
        if len(self.model.tokenizer.encode(context)) <= self.above:
            return state
        search = state.passages.find

        def told(questions: Sequence[str]) -> list[list[str]]:
            found = zip(questions, search(questions), strict=True)
            return [list(self.support.get(q, passages)) for q, passages in found]

        state.passages.find = told
        return state
