"""Models that installed packages bring, each named by an entry point of the group `GROUP`.

An entry point's name is what `--model` takes; what it refers to is a `ShippedModel`. Nothing else
in the project knows one of them by its name.
"""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

GROUP = "gist_bench.models"


class ShippedModel(Protocol):
    """A model that a package brings. The module that defines it must import no heavy package."""

    title: str  # its published name, and what was done to its weights
    licence: str  # of the weights, as SPDX writes it
    source: str  # where the weights come from
    reads: str  # what text it can read, to end the sentence "it reads ..."
    reads_any_text: bool  # whether a person's own documents are such text
    answers_in_sentences: bool  # however short an answer is asked for
    adapter: Path  # folder of its gist adapter, which need not exist

    def missing(self) -> str:
        """Return what keeps it from being used and what to type; empty if it is installed."""

    def folder(self, *, weights: bool) -> Path:
        """Return its folder: config.json, tokenizer and, if wanted, model.safetensors.

        Raises:
            UserError: it is not installed, or damaged.
        """


def names() -> tuple[str, ...]:
    """Return the names of all shipped models, installed or not."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def find(name: str) -> ShippedModel | None:
    """Return the shipped model of that name, None if no package declares one."""
    for point in entry_points(group=GROUP, name=name):
        model: ShippedModel = point.load()
        return model
    return None


def all_models() -> dict[str, ShippedModel]:
    """Return every shipped model by its name, installed or not."""
    return {name: model for name in names() if (model := find(name)) is not None}
