"""How the runs of a report were made: what run.json says, in the order in which a reader asks."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.run.metadata import RunMetadata

FIRST = (  # what a reader looks for; everything else follows below, folded
    "status",
    "command",
    "started",
    "finished",
    "configuration.model",
    "configuration.fingerprint",
    "configuration.prompt_hash",
    "configuration.device",
    "configuration.model_description.dtype",
    "configuration.seed",
    "configuration.batch_size",
    "configuration.limit",
    "configuration.code",
    "environment.commit",
    "environment.python",
    "environment.platform",
    "environment.processor",
    "environment.threads",
)


@dataclass(frozen=True, slots=True)
class Run:
    """What run.json says of a run, by name."""

    name: str
    first: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, str], ...]


def describe(metadata: RunMetadata) -> Run:
    """Return what is known of a run; nothing if it has no run.json."""
    leaves = dict(_leaves(metadata.everything))
    first = tuple((name.rpartition(".")[2], leaves.pop(name)) for name in FIRST if name in leaves)
    return Run(metadata.name, first, tuple(leaves.items()))


def _leaves(tree: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value of a tree with the names that lead to it."""
    if isinstance(tree, list):
        tree = dict(enumerate(tree))
    if isinstance(tree, dict):
        for name, part in tree.items():
            yield from _leaves(part, f"{path}.{name}" if path else str(name))
    elif tree not in (None, ""):
        yield path, str(tree)
