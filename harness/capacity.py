"""How many documents a 24 GB card would hold at once, each ready to be asked.

It is told from a sweep that has held one document and then several, in two ways. The bytes held
are exact, but say nothing of what a library keeps beside them; the growth of the peak has all of
it, but on a CPU it is that of a process and moves by itself. The smaller number counts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from harness import printing
from harness.card import CARD, CARD_USABLE_BYTES
from harness.costs import HELD, cost_groups, measured
from harness.printing import Table
from harness.tables import Section

APART = 0.25  # of the bytes held: from here on the two ways are said to disagree
LEGEND = (
    f"Documents on a {CARD} ({printing.size(CARD_USABLE_BYTES)} usable): the peak with one "
    "document, weights and activations included, and as many more as there is room for, each "
    "taking what it holds or what the peak grew by, whichever is more. What rag keeps outside the "
    "card counts too; on a CPU the peak is the whole process."
)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What documents of one size take, held by one arm."""

    arm: str
    size: tuple[str, ...]  # of the sweep
    held: int  # the most documents that were held
    one_bytes: float  # the peak with a single document
    held_each_bytes: float  # bytes held for one more document
    peak_each_bytes: float  # what the peak grew by for one more document

    @property
    def documents(self) -> int:
        """How many fit at least."""
        room = CARD_USABLE_BYTES - self.one_bytes
        if room < 0:
            return 0
        return 1 + int(room // max(self.held_each_bytes, self.peak_each_bytes))

    @property
    def is_explained(self) -> bool:
        """Whether the peak grew by no more than what is held."""
        return self.peak_each_bytes <= (1 + APART) * self.held_each_bytes


def capacities(section: Section) -> Iterator[Capacity]:
    """Yield one for each arm and size at which one document was held, and several."""
    names, groups = cost_groups(section)
    if HELD not in names:
        return
    at = 1 + names.index(HELD)
    sizes: dict[tuple[str, ...], dict[int, pd.DataFrame]] = {}
    for key, rows in groups.items():
        by_held = sizes.setdefault((*key[:at], *key[at + 1 :]), {})
        by_held[int(rows[HELD].iloc[0])] = rows
    for (arm, *size), by_held in sizes.items():
        costs = {held: measured(rows) for held, rows in by_held.items()}
        # A number that did not fit has rows too, without the bytes.
        most = max((held for held in costs if not math.isnan(costs[held].peak_bytes)), default=1)
        if most == 1 or 1 not in costs or not costs[1].held_bytes > 0:
            continue
        yield Capacity(
            arm,
            tuple(size),
            held=most,
            one_bytes=costs[1].peak_bytes,
            held_each_bytes=(costs[most].held_bytes - costs[1].held_bytes) / (most - 1),
            peak_each_bytes=(costs[most].peak_bytes - costs[1].peak_bytes) / (most - 1),
        )


def capacity_tables(section: Section) -> Iterator[Table]:
    """Yield the table of documents that fit, if the rows are of such a sweep."""
    found = list(capacities(section))
    if not found:
        return
    names = [name for name in cost_groups(section)[0] if name != HELD]
    yield Table(
        f"Documents held at once on a {CARD}",
        ("backend", *names, "documents", "peak with one", "held for each", "peak grew for each",
         "measured with"),
        tuple(
            (
                each.arm,
                *each.size,
                printing.count(each.documents),
                printing.size(each.one_bytes),
                printing.size(each.held_each_bytes),
                printing.size(each.peak_each_bytes),
                str(each.held),
            )
            for each in found
        ),
        tuple(_doubts(found)),
        (LEGEND,),
        keys=1 + len(names),
    )  # fmt: skip


def _doubts(found: Sequence[Capacity]) -> Iterator[str]:
    unexplained = dict.fromkeys(each.arm for each in found if not each.is_explained)
    if unexplained:
        yield (
            f"{'; '.join(unexplained)}: the peak grew by more than what is held. Where few "
            "documents were held it may be chance (hold more: vram,contexts=1+64); else it is "
            "what a library keeps beside them, as ChromaDB does for every collection."
        )
