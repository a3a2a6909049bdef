"""Documents that fit are counted from what was measured with one of them and with several."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.report.capacity import capacities, capacity_tables
from harness.report.gpu import GPU_USABLE_BYTES
from harness.report.sections import Section
from harness.run.records import Row
from tests.support.rows import row, sections, write_run

MakeSection = Callable[..., Section]

WEIGHTS = 5 * 2**30
EACH = 2**28  # held for a document


def sweep(backend: str, held: int, *, grew: float = 1.0, tokens: str = "512") -> Row:
    """Return the row of a sweep in which the peak grows `grew` times as fast as what is held."""
    peak = WEIGHTS + EACH + (held - 1) * EACH * grew
    return row(
        backend,
        f"{held}x{tokens}",
        suite="vram",
        tokens=tokens,
        contexts_held=held,
        context_tokens=int(tokens),
        new_tokens=16,
        prepare_s=1.0,
        generate_s=1.0,
        held_bytes=float(held * EACH),
        prepare_peak_bytes=peak,
        generate_peak_bytes=peak,
        baseline_bytes=WEIGHTS,
        memory_kind="cuda",
    )


@pytest.fixture
def section(tmp_path: Path) -> MakeSection:
    """Return a function that makes the section of rows."""
    return lambda *rows: sections(write_run(tmp_path / "run", rows))[0]


def failed(backend: str, held: int) -> Row:
    """Return the row of a number of documents that was too much."""
    nothing = dict.fromkeys(
        "new_tokens prepare_s generate_s held_bytes prepare_peak_bytes generate_peak_bytes".split()
    )
    return {**sweep(backend, held), **nothing, "error": "out_of_memory"}


def test_one_more_document_than_fit_would_be_too_much(section: MakeSection) -> None:
    """The number is the largest whose peak stays within what the GPU can use."""
    (found,) = capacities(section(sweep("full", 1), sweep("full", 4)))
    needed = [WEIGHTS + n * EACH for n in (found.documents, found.documents + 1)]
    assert needed[0] <= GPU_USABLE_BYTES < needed[1]


@pytest.mark.parametrize(("grew", "documents"), [(0.5, 72), (1.0, 72), (2.0, 36), (8.0, 9)])
def test_what_grows_faster_counts(section: MakeSection, grew: float, documents: int) -> None:
    """A library that keeps more than it says is charged for it; chance below it gains nothing."""
    (found,) = capacities(section(sweep("rag", 1), sweep("rag", 8, grew=grew)))
    assert found.documents == documents
    assert found.is_explained == (grew <= 1)


def test_backends_and_sizes_have_rows_of_their_own(section: MakeSection) -> None:
    """Two backends at two sizes are four rows, and the disagreeing backend alone is named."""
    rows = [
        sweep(backend, held, tokens=tokens, grew=grew)
        for backend, grew in (("full", 1.0), ("rag", 3.0))
        for tokens in ("512", "1024")
        for held in (1, 4)
    ]
    (table,) = capacity_tables(section(*rows))
    assert [cells[:3] for cells in table.rows] == [
        ("full", "512", "72"), ("rag", "512", "24"), ("full", "1024", "72"), ("rag", "1024", "24"),
    ]  # fmt: skip
    (note,) = table.notes
    assert note.startswith("rag: the peak grew")


def test_numbers_that_did_not_fit_are_not_counted_with(section: MakeSection) -> None:
    """The largest number of documents that worked is compared with one."""
    (found,) = capacities(section(sweep("full", 1), sweep("full", 4), failed("full", 64)))
    assert found.held == 4


def test_a_gpu_that_is_too_small_for_one_holds_none(section: MakeSection) -> None:
    """Where the weights alone do not fit, no document does."""
    rows = [{**sweep("full", held), "prepare_peak_bytes": GPU_USABLE_BYTES + 1} for held in (1, 4)]
    (found,) = capacities(section(*rows))
    assert found.documents == 0


@pytest.mark.parametrize("held", [(1,), (4,), (2, 4)])
def test_without_one_and_several_there_is_no_table(
    section: MakeSection, held: tuple[int, ...]
) -> None:
    """The first document's share is known from a run with it alone."""
    assert not list(capacity_tables(section(*(sweep("full", each) for each in held))))


def test_nothing_worked_no_table(section: MakeSection) -> None:
    """Errors alone foretell nothing."""
    assert not list(capacity_tables(section(failed("full", 1), failed("full", 4))))
