"""Find the gist adapter that belongs to a model, and keep it on while a backend is open."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backends.cached import translated
from harness.errors import NotReady

if TYPE_CHECKING:
    from gist.checkpoint import Card
    from gist.layout import GistPlan
    from gist.model import LanguageModel


Switch = Literal["off", "on"]
UNTRAINED_ROWS = 64
RANDOM_SEED = 1_000_003  # of rows drawn anew: no seed that a training begins with


def find(lm: "LanguageModel", checkpoint: Path | None) -> Path:
    """Return the adapter's folder: the given one, or the reference adapter on its own model.

    Raises:
        NotReady: there is none for this model.
    """
    if checkpoint is not None:
        return checkpoint
    from gist.checkpoint import REFERENCE_ADAPTER, read_card

    if (
        REFERENCE_ADAPTER.is_dir()
        and read_card(REFERENCE_ADAPTER).base_fingerprint == lm.fingerprint
    ):
        return REFERENCE_ADAPTER
    raise NotReady(
        f"there is no gist adapter for {lm.name}. Train one with gist-bench train-gist "
        f"--model {lm.name} --output DIR, then give gist,checkpoint=DIR.",
        cost_options={"untrained": "true"},
    )


@contextmanager
def attached(lm: "LanguageModel", folder: Path) -> Iterator["Card"]:
    """Put a checkpoint's adapter onto the model while the context lasts."""
    from gist.adapter import attached as attach

    with translated(), attach(lm, folder) as card:
        yield card


@contextmanager
def _untrained(lm: "LanguageModel", checkpoint: Path | None) -> Iterator["GistPlan"]:
    """Put an adapter onto the model that nobody has trained: right in its costs alone.

    Its gists stand where those of the trained one stand, if there is one.
    """
    from gist.adapter import LoraOptions, added
    from gist.checkpoint import read_card
    from gist.layout import GistPlan

    with translated():
        try:
            plan = read_card(find(lm, checkpoint)).plan
        except NotReady:
            plan = GistPlan(rows=UNTRAINED_ROWS)
        with added(lm.model, plan, LoraOptions(), seed=0):
            lm.model.eval()
            yield plan


def redraw_gists(lm: "LanguageModel") -> None:
    """Put random draws in the place of the gist embeddings of the adapter that is on."""
    from torch import Tensor

    from gist.embedding import draw_rows

    vocabulary = lm.model.get_input_embeddings().weight  # (vocabulary, hidden)
    assert isinstance(vocabulary, Tensor)
    for name, parameter in lm.model.named_parameters():
        if "gist_rows" in name:
            draw_rows(parameter, like=vocabulary, seed=RANDOM_SEED)


def put_on(
    stack: ExitStack, lm: "LanguageModel", checkpoint: Path | None, *, untrained: bool
) -> tuple["GistPlan", dict[str, Any]]:
    """Put an adapter on until `stack` is closed; return its plan and what identifies it."""
    if untrained:
        return stack.enter_context(_untrained(lm, checkpoint)), {"adapter": "untrained"}
    folder = find(lm, checkpoint)
    return stack.enter_context(attached(lm, folder)).plan, about(folder)


def about(folder: Path) -> dict[str, Any]:
    """Return what identifies an adapter in a run."""
    from gist.checkpoint import file_hash

    return {"adapter": file_hash(folder)}


def switch(
    stack: ExitStack, lm: "LanguageModel", adapter: Switch, checkpoint: Path | None
) -> dict[str, Any]:
    """Put the adapter on for `on`, until `stack` is closed; return what identifies it."""
    if adapter == "off":
        return {}
    folder = find(lm, checkpoint)
    stack.enter_context(attached(lm, folder))
    return about(folder)
