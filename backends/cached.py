"""A context held as KV entries: what full, gist, truncate, mean_pool and closed_book prepare alike.

They differ in which entries are held and in whether the adapter is on while the question is
answered; asking is the same code for all of them, and for rag.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Generation
from harness.errors import ContextTooLong, OutOfMemory, UserError

if TYPE_CHECKING:
    from gist.decode import KVState
    from gist.model import LanguageModel


@contextmanager
def translated() -> Iterator[None]:
    """Turn what `gist` raises into what the harness knows."""
    from gist.errors import DoesNotFit, GistError, TooLong

    try:
        yield
    except TooLong as error:
        raise ContextTooLong(str(error)) from error
    except DoesNotFit as error:
        raise OutOfMemory(str(error)) from error
    except GistError as error:
        raise UserError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what stands for its context."""

    question: str
    context_entries: int  # KV entries that stand for the context, `read` among them
    read: Sequence[int] = ()  # ids read together with the question, behind the state
    evidence: tuple[str, ...] = ()  # the parts of the context that were read, if not all


def answer(
    lm: "LanguageModel",
    state: "KVState",
    batch: Sequence[Asked],
    *,
    max_new_tokens: int,
    min_new_tokens: int,
) -> list[Generation]:
    """Answer a batch of questions behind a state, which stays as it is.

    Raises:
        ContextTooLong: they need more positions than the model has.
        OutOfMemory: they need more memory than there is.
    """
    from gist.decode import ask

    prompt, encode = lm.prompt, lm.tokenizer.encode
    rows = [
        [*asked.read, *prompt.between, *encode(asked.question), *prompt.after] for asked in batch
    ]
    with translated():
        answers = ask(lm, state, rows, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens)
    return [
        Generation(
            text=lm.tokenizer.decode(new).strip(),
            prompt_tokens=state.entries + len(row),
            context_entries=asked.context_entries,
            new_tokens=len(new),
            evidence=asked.evidence,
        )
        for asked, row, new in zip(batch, rows, answers, strict=True)
    ]


@dataclass
class CachedContext:
    """KV entries of a context that has been read once."""

    lm: "LanguageModel"
    state: "KVState"
    context_entries: int  # of the state's entries, those that stand for the context
    evidence: tuple[str, ...] = ()  # the parts of the context that were read, if not all

    @property
    def held_bytes(self) -> int:
        """Bytes of all entries kept, the prompt's beginning included."""
        return self.state.held_bytes

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer the questions in one batch; the entries stay as they are."""
        batch = [Asked(text, self.context_entries, (), self.evidence) for text in questions]
        return answer(
            self.lm,
            self.state,
            batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
        )

    def close(self) -> None:
        """Drop the entries."""
        self.state.cache.layers.clear()
