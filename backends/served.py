"""The backends of a model behind a server: what its prompts show of the context.

A server holds KV entries as it likes, so that here a context is a text, sent anew with every
question. What it keeps of it between questions (prefix caching) shows in the times alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from backends.kv.size import SizeOptions
from backends.passages import Passages, SearchOptions
from backends.retrieval.retriever import join_passages
from backends.summary import instruction_for
from backends.truncate import head_and_tail
from harness.api import Generation, Model, ServedModel, Shown, Tokenizer
from harness.errors import NotReady, TokenizerUnknown


@dataclass
class Full:
    """The whole context in every prompt."""

    model: ServedModel

    def prepare(self, context: str) -> "ShownContext":
        """Keep the text."""
        return ShownContext(self.model, context)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing: the options say all."""
        return {}

    def close(self) -> None:
        """Do nothing: the server is the user's."""


@dataclass
class ClosedBook(Full):
    """The question without its context."""

    def prepare(self, context: str) -> "ShownContext":  # noqa: ARG002 - the point of this backend
        """Keep nothing."""
        return ShownContext(self.model, "")


@dataclass
class Truncate(SizeOptions):
    """Half of the budget from the context's start, half from its end, in every prompt."""

    model: ServedModel

    def __post_init__(self) -> None:
        """Refuse a size that keeps nothing, and a model whose tokenizer is not known."""
        super().__post_init__()
        _need_tokenizer(self.model)

    def prepare(self, context: str) -> "ShownContext":
        """Cut the context."""
        ids = self.model.tokenizer.encode(context)
        budget = self.entries_for(len(ids))
        if budget == len(ids):
            return ShownContext(self.model, context)
        text, parts = _within(budget, self.model.tokenizer, lambda n: head_and_tail(ids, n))
        return ShownContext(self.model, text, parts)


@dataclass
class Summary(SizeOptions):
    """A summary of the context, of so many tokens at most, in every prompt; the model writes it."""

    runs_unasked: ClassVar[bool] = False

    model: ServedModel

    def __post_init__(self) -> None:
        """Refuse a size that keeps nothing; a ratio needs the tokenizer."""
        super().__post_init__()
        if self.tokens is None:
            _need_tokenizer(self.model)

    def prepare(self, context: str) -> "ShownContext":
        """Ask for the summary."""
        size = self.model.count_tokens(context)
        if size is None:
            size = len(context.encode())  # no token is shorter than a byte
        budget = self.entries_for(size)
        if budget == size:
            return ShownContext(self.model, context)
        summary = self.model.write(instruction_for(budget), context, max_new_tokens=budget)
        if (self.model.count_tokens(summary) or 0) > budget:
            ids = self.model.tokenizer.encode(summary)
            summary, _ = _within(budget, self.model.tokenizer, lambda n: [ids[:n]])
        return ShownContext(self.model, summary, (summary,))


@dataclass
class Rag(SearchOptions):
    """Passages of the context that are nearest to the question, in its prompt."""

    model: ServedModel

    def __post_init__(self) -> None:
        """Choose and load the embedder; a budget needs the tokenizer."""
        if self.tokens is not None:
            _need_tokenizer(self.model)
        super().__post_init__()

    def prepare(self, context: str) -> "SearchedContext":
        """Cut the context into chunks and make them searchable."""
        return SearchedContext(self.model, self.search_in(context))


@dataclass
class ShownContext:
    """A text that stands for the context in every prompt."""

    model: ServedModel
    text: str
    evidence: tuple[str, ...] = ()  # its parts, if they are not the whole context
    held_bytes: int | None = None  # what the server keeps is not known

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Ask all questions at once."""
        requests = [Shown(question, self.text, self.evidence) for question in questions]
        return self.model.answer(
            requests, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens
        )

    def close(self) -> None:
        """Do nothing: the server keeps what it likes."""


@dataclass
class SearchedContext:
    """A context of which every prompt shows the passages that are nearest to its question."""

    model: ServedModel
    passages: Passages
    held_bytes: int | None = None  # the server's share of it is not known

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Search, and ask all questions at once."""
        requests = [
            Shown(question, join_passages(found), tuple(passage.strip() for passage in found))
            for question, found in zip(questions, self.passages.find(questions), strict=True)
        ]
        return self.model.answer(
            requests, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens
        )

    def close(self) -> None:
        """Drop the index."""
        self.passages.close()


def _within(
    budget: int, tokenizer: Tokenizer, chosen: Callable[[int], Sequence[Sequence[int]]]
) -> tuple[str, tuple[str, ...]]:
    """Return the longest text of some tokens that has no more tokens than a budget, and its parts.

    Where a word was cut, a text that is read anew may have more tokens than its pieces had.

    Args:
        budget: in tokens.
        tokenizer: of the model.
        chosen: the parts that so many tokens make.
    """
    for size in range(budget, 0, -1):
        parts = chosen(size)
        text = tokenizer.decode([token for part in parts for token in part])
        if len(tokenizer.encode(text)) <= budget:
            return text, tuple(map(tokenizer.decode, parts))
    return "", ()


def _need_tokenizer(model: Model) -> None:
    """Refuse a model whose tokenizer nobody has named.

    Raises:
        NotReady: what to give.
    """
    try:
        model.tokenizer.encode("")
    except TokenizerUnknown as unknown:
        raise NotReady(str(unknown)) from unknown
