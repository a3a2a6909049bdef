"""How many KV entries stand for a context: options of gist, truncate and mean_pool."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from harness.api import BUDGET, Model

if TYPE_CHECKING:
    from gist.models.model import LanguageModel


@dataclass
class SizeOptions:
    """The options of backends that keep a part of the context and load nothing.

    Args:
        tokens: KV entries kept for every context.
        ratio: context tokens per KV entry, instead of `tokens`; 16, as in gist, if neither is
            given.
    """

    model: Model
    tokens: int | None = field(default=None, metadata=BUDGET)
    ratio: float | None = None

    def __post_init__(self) -> None:
        """Refuse a size that keeps nothing."""
        check_size(tokens=self.tokens, ratio=self.ratio)

    def entries_for(self, context_tokens: int) -> int:
        """Return the KV entries for a context of so many tokens."""
        return entries_for(context_tokens, tokens=self.tokens, ratio=self.ratio)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing: the options say all."""
        return {}

    def close(self) -> None:
        """Do nothing: the model was not changed."""


@dataclass
class RivalOptions(SizeOptions):
    """The same of a loaded model, for backends that run where they are named."""

    runs_unasked: ClassVar[bool] = False

    model: "LanguageModel"


def check_size(*, tokens: int | None, ratio: float | None) -> None:
    """Refuse sizes that keep nothing or say two things.

    Raises:
        ValueError: which option, and what it may be.
    """
    if tokens is not None and ratio is not None:
        raise ValueError("tokens and ratio say the same thing twice; give one of them")
    if tokens is not None and tokens < 1:
        raise ValueError(f"tokens={tokens} must be at least 1")
    if ratio is not None and ratio < 1:
        raise ValueError(f"ratio={ratio:g} must be at least 1")


def entries_for(context_tokens: int, *, tokens: int | None, ratio: float | None) -> int:
    """Return the KV entries for a context: as many as gist gets, never more than it has tokens."""
    from gist.compress import gists_for

    return min(context_tokens, gists_for(context_tokens, tokens=tokens, ratio=ratio))
