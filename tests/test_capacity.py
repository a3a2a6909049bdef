"""Documents that fit are counted from what was measured with one of them and with several."""

import pandas as pd
import pytest

from harness.capacity import capacities, capacity_tables
from harness.card import CARD_USABLE_BYTES
from harness.tables import Section

WEIGHTS = 5 * 2**30
EACH = 2**28  # held for a document


def row(arm: str, held: int, *, grew: float = 1.0, tokens: str = "512") -> dict[str, object]:
    """Return the row of a sweep in which the peak grows `grew` times as fast as what is held."""
    peak = WEIGHTS + EACH + (held - 1) * EACH * grew
    return {
        "run": 0, "context": f"{held}x{tokens}", "sample_id": f"{held}x{tokens}", "backend": arm,
        "batch_id": f"{arm}{held}x{tokens}", "tokens": tokens, "contexts_held": held,
        "batch_size": 1, "context_tokens": int(tokens), "max_new_tokens": 16, "new_tokens": 16,
        "prepare_s": 1.0, "generate_s": 1.0, "held_bytes": float(held * EACH),
        "prepare_peak_bytes": peak, "generate_peak_bytes": peak, "baseline_bytes": WEIGHTS,
        "memory_kind": "cuda", "error": "", "notice": "",
    }  # fmt: skip


def section(*rows: dict[str, object]) -> Section:
    """Return rows as those of a suite that shows costs."""
    return Section(pd.DataFrame(rows), slices=("tokens",), metrics=())


def failed(arm: str, held: int) -> dict[str, object]:
    """Return the row of a number of documents that was too much."""
    nothing = dict.fromkeys(
        ("prepare_s", "generate_s", "held_bytes", "prepare_peak_bytes", "generate_peak_bytes")
    )
    return {**row(arm, held), **nothing, "error": "out_of_memory"}


def test_one_more_document_than_fit_would_be_too_much() -> None:
    """The number is the largest whose peak stays within what the card can use."""
    (found,) = capacities(section(row("full", 1), row("full", 4)))
    needed = [WEIGHTS + n * EACH for n in (found.documents, found.documents + 1)]
    assert needed[0] <= CARD_USABLE_BYTES < needed[1]


@pytest.mark.parametrize(("grew", "documents"), [(0.5, 72), (1.0, 72), (2.0, 36), (8.0, 9)])
def test_what_grows_faster_counts(grew: float, documents: int) -> None:
    """A library that keeps more than it says is charged for it; chance below it gains nothing."""
    (found,) = capacities(section(row("rag", 1), row("rag", 8, grew=grew)))
    assert found.documents == documents
    assert found.is_explained == (grew <= 1)


def test_arms_and_sizes_have_rows_of_their_own() -> None:
    """Two arms at two sizes are four rows, and the disagreeing arm alone is named."""
    rows = [
        row(arm, held, tokens=tokens, grew=grew)
        for arm, grew in (("full", 1.0), ("rag", 3.0))
        for tokens in ("512", "1024")
        for held in (1, 4)
    ]
    (table,) = capacity_tables(section(*rows))
    assert [cells[:3] for cells in table.rows] == [
        ("full", "512", "72"), ("rag", "512", "24"), ("full", "1024", "72"), ("rag", "1024", "24"),
    ]  # fmt: skip
    (doubt,) = table.notes
    assert doubt.startswith("rag: the peak grew")


def test_numbers_that_did_not_fit_are_not_counted_with() -> None:
    """The largest number of documents that worked is compared with one."""
    (found,) = capacities(section(row("full", 1), row("full", 4), failed("full", 64)))
    assert found.held == 4


def test_a_card_that_is_too_small_for_one_holds_none() -> None:
    """Where the weights alone do not fit, no document does."""
    rows = [row("full", held) for held in (1, 4)]
    for cells in rows:
        cells["prepare_peak_bytes"] = CARD_USABLE_BYTES + 1.0
    (found,) = capacities(section(*rows))
    assert found.documents == 0


@pytest.mark.parametrize("held", [(1,), (4,), (2, 4)])
def test_without_one_and_several_there_is_no_table(held: tuple[int, ...]) -> None:
    """The first document's share is known from a run with it alone."""
    assert not list(capacity_tables(section(*(row("full", each) for each in held))))


def test_nothing_worked_no_table() -> None:
    """Errors alone foretell nothing."""
    assert not list(capacity_tables(section(failed("full", 1), failed("full", 4))))
