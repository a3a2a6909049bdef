"""A context held as KV entries: what full, gist, truncate and closed_book prepare alike.

They differ in which entries are held and in whether the adapter is on while the question is
answered; asking is the same code for all of them.
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
        from gist.decode import ask

        prompt = self.lm.prompt
        encode = self.lm.tokenizer.encode
        rows = [[*prompt.between, *encode(text), *prompt.after] for text in questions]
        with translated():
            answers = ask(
                self.lm,
                self.state,
                rows,
                max_new_tokens=max_new_tokens,
                min_new_tokens=min_new_tokens,
            )
        return [
            Generation(
                text=self.lm.tokenizer.decode(answer).strip(),
                prompt_tokens=self.state.entries + len(row),
                context_entries=self.context_entries,
                new_tokens=len(answer),
                evidence=self.evidence,
            )
            for row, answer in zip(rows, answers, strict=True)
        ]

    def close(self) -> None:
        """Drop the entries."""
        self.state.cache.layers.clear()
