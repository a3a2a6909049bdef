"""Find the gist adapter that belongs to a model, and keep it loaded while a backend is open."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backends.kv.cached import CachedContext
from backends.kv.segments import compress_context
from backends.kv.size import check_size, entries_for
from harness.api import BUDGET
from harness.errors import NotReady

if TYPE_CHECKING:
    from gist.layout import GistPlan
    from gist.models.model import LanguageModel

Switch = Literal["off", "on"]
UNTRAINED_EMBEDDINGS = 64
RANDOM_SEED = 1_000_003  # of embeddings drawn anew: no seed that a training begins with


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter that is on the model until `close`."""

    plan: "GistPlan"
    adapter_id: str  # its hash: what identifies it in a run and in a gist file
    _open: ExitStack

    def describe(self) -> Mapping[str, Any]:
        """Return what identifies it in a run."""
        return {"adapter": self.adapter_id}

    def close(self) -> None:
        """Unload it."""
        self._open.close()


@dataclass
class GistOptions:
    """The options that all gist backends have, and the adapter that they load.

    Args:
        checkpoint: a folder made by train-gist; by default the one that belongs to the model.
        tokens: gist tokens for every context.
        ratio: context tokens per gist token, instead of `tokens`; 16 if neither is given.
        untrained: use an adapter that nobody has trained: its costs are right, its answers are not.
    """

    model: "LanguageModel"
    checkpoint: Path | None = None
    tokens: int | None = field(default=None, metadata=BUDGET)
    ratio: float | None = None
    untrained: bool = False
    _adapter: LoadedAdapter = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the size and load the adapter."""
        check_size(tokens=self.tokens, ratio=self.ratio)
        self._adapter = load_adapter(self.model, self.checkpoint, untrained=self.untrained)

    def entries_for(self, context_tokens: int) -> int:
        """Return the gists for a context of so many tokens."""
        return entries_for(context_tokens, tokens=self.tokens, ratio=self.ratio)

    def compress(self, context: str, window_tokens: int | None) -> CachedContext:
        """Compress a context, as `compress_context` does."""
        return compress_context(
            self.model,
            self._adapter.plan,
            context,
            entries_for=self.entries_for,
            window_tokens=window_tokens,
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the adapter's hash."""
        return self._adapter.describe()

    def close(self) -> None:
        """Unload the adapter."""
        self._adapter.close()


@dataclass
class AdapterSwitch:
    """The options of backends that read and answer without gists, with the adapter or without.

    Args:
        checkpoint: the adapter for `adapter=on`; by default the one that belongs to the model.
    """

    model: "LanguageModel"
    adapter: Switch = "off"
    checkpoint: Path | None = None
    _adapter: LoadedAdapter | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Load the adapter, if asked for."""
        if self.adapter == "on":
            self._adapter = load_adapter(self.model, self.checkpoint)

    def describe(self) -> Mapping[str, Any]:
        """Return the adapter's hash, if one is loaded."""
        return self._adapter.describe() if self._adapter else {}

    def close(self) -> None:
        """Unload the adapter."""
        if self._adapter:
            self._adapter.close()


def load_adapter(
    lm: "LanguageModel", checkpoint: Path | None, *, untrained: bool = False
) -> LoadedAdapter:
    """Load the adapter of a folder, by default the one that belongs to the model.

    Raises:
        NotReady: there is none for this model.
        UserError: the folder is no adapter, or one of another base model.
    """
    from gist.adapter import attached
    from gist.checkpoint import file_hash

    stack = ExitStack()
    if untrained:
        return LoadedAdapter(stack.enter_context(_untrained(lm, checkpoint)), "untrained", stack)
    folder = find_adapter(lm, checkpoint)
    card = stack.enter_context(attached(lm, folder))
    return LoadedAdapter(card.plan, file_hash(folder), stack)


def find_adapter(lm: "LanguageModel", checkpoint: Path | None) -> Path:
    """Return the adapter's folder: the given one, or the one that is shipped for the model.

    Raises:
        NotReady: there is none for this model.
    """
    from gist.checkpoint import adapter_folder, shipped_adapter

    if checkpoint is not None:
        return adapter_folder(checkpoint)
    if folder := shipped_adapter(lm.fingerprint):
        return folder
    raise NotReady(
        f"there is no gist adapter for {lm.name}. Train one with gist-bench train-gist "
        f"--model {lm.name} --output DIR, then give gist,checkpoint=DIR.",
        cost_options={"untrained": "true"},
    )


@contextmanager
def _untrained(lm: "LanguageModel", checkpoint: Path | None) -> Iterator["GistPlan"]:
    """Add an adapter that nobody has trained: its costs are right, its answers are not.

    Its gists stand where those of the trained one stand, if there is one.
    """
    from gist.adapter import added
    from gist.checkpoint import read_card
    from gist.layout import GistPlan
    from gist.lora import LoraOptions

    try:
        plan = read_card(find_adapter(lm, checkpoint)).plan
    except NotReady:
        plan = GistPlan(rows=UNTRAINED_EMBEDDINGS)
    with added(lm.model, plan, LoraOptions(), seed=0):
        lm.model.eval()
        yield plan


def redraw_gists(lm: "LanguageModel", plan: "GistPlan") -> None:
    """Replace the gist embeddings of the loaded adapter by random draws.

    Raises:
        NotReady: it has none.
    """
    if not plan.rows:
        raise NotReady("embeddings=random: an adapter that pools has no gist embeddings")
    from torch import Tensor

    from gist.embedding import draw_embeddings

    vocabulary = lm.model.get_input_embeddings().weight  # (vocabulary, hidden)
    assert isinstance(vocabulary, Tensor)
    for name, parameter in lm.model.named_parameters():
        if "gist_rows" in name:
            draw_embeddings(parameter, like=vocabulary, seed=RANDOM_SEED)
