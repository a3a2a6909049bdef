"""How many documents a 24 GB GPU would hold at once, each ready for questions.

It is computed in two ways from a sweep that held one document and then several. The bytes held are
exact, but leave out what a library keeps beside them. The growth of the peak includes everything,
but on a CPU it is that of the whole process and noisy. The smaller number of documents counts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.report import format as printing
from harness.report.cost_tables import cost_groups, group_costs
from harness.report.costs import HELD, Costs
from harness.report.format import Table
from harness.report.gpu import GPU, GPU_USABLE_BYTES
from harness.report.sections import Section

TOLERANCE = 0.25  # of the bytes held: above it the two ways disagree
LEGEND = (
    f"Documents on a {GPU} ({printing.size(GPU_USABLE_BYTES)} usable): the peak with one document "
    "includes weights and activations; each further document takes the bytes that it holds or the "
    "growth of the peak, whichever is more. Memory that rag uses outside the GPU counts too. On a "
    "CPU the peak is that of the whole process."
)


@dataclass(frozen=True, slots=True)
class Capacity:
    """The memory that documents of one size take with one backend."""

    backend: str
    size: tuple[str, ...]  # of the sweep
    held: int  # the largest number of documents held
    one_bytes: float  # the peak with a single document
    held_each_bytes: float  # bytes held for one more document
    peak_each_bytes: float  # what the peak grew by for one more document

    @property
    def documents(self) -> int:
        """How many fit at least."""
        room = GPU_USABLE_BYTES - self.one_bytes
        if room < 0:
            return 0
        return 1 + int(room // max(self.held_each_bytes, self.peak_each_bytes))

    @property
    def is_explained(self) -> bool:
        """Whether the peak grew by no more than what is held."""
        return self.peak_each_bytes <= (1 + TOLERANCE) * self.held_each_bytes


def capacities(section: Section) -> Iterator[Capacity]:
    """Yield the capacity for each backend and size at which one document and several were held."""
    names, groups = cost_groups(section)
    if HELD not in names:
        return
    at = 1 + names.index(HELD)
    sizes: dict[tuple[str, ...], dict[int, Costs]] = {}
    for key, found in group_costs(section).items():
        by_held = sizes.setdefault((*key[:at], *key[at + 1 :]), {})
        by_held[int(groups[key][[HELD]][HELD].iloc[0])] = found
    for (backend, *size), costs in sizes.items():
        # A number that did not fit has rows too, without the bytes.
        held = max((n for n in costs if not math.isnan(costs[n].peak_bytes)), default=1)
        if held == 1 or 1 not in costs or not costs[1].held_bytes > 0:
            continue
        yield Capacity(
            backend,
            tuple(size),
            held=held,
            one_bytes=costs[1].peak_bytes,
            held_each_bytes=(costs[held].held_bytes - costs[1].held_bytes) / (held - 1),
            peak_each_bytes=(costs[held].peak_bytes - costs[1].peak_bytes) / (held - 1),
        )


def capacity_tables(section: Section) -> Iterator[Table]:
    """Yield the table of documents that fit, if the rows are of such a sweep."""
    found = list(capacities(section))
    if not found:
        return
    names = [name for name in cost_groups(section)[0] if name != HELD]
    header = ("backend", *names, "documents", "peak with one", "held per document",
              "peak growth per document", "measured with")  # fmt: skip
    yield Table(
        f"Documents held at once on a {GPU}",
        header,
        tuple(
            (
                each.backend,
                *each.size,
                printing.count(each.documents),
                printing.size(each.one_bytes),
                printing.size(each.held_each_bytes),
                printing.size(each.peak_each_bytes),
                str(each.held),
            )
            for each in found
        ),
        tuple(_notes(found)),
        (LEGEND,),
        keys=1 + len(names),
    )


def _notes(found: Sequence[Capacity]) -> Iterator[str]:
    unexplained = dict.fromkeys(each.backend for each in found if not each.is_explained)
    if unexplained:
        yield (
            f"{'; '.join(unexplained)}: the peak grew by more than the bytes held. With few "
            "documents this may be chance (hold more: vram,contexts=1+64). Otherwise a library "
            "keeps more in memory, as ChromaDB does for every collection."
        )
