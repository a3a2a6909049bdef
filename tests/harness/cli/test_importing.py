"""The garbage collector while packages are imported."""

import gc
from collections.abc import Iterator

import pytest

from harness.cli.importing import importing


class Node:
    """An object in a cycle with itself."""

    def __init__(self) -> None:
        self.itself = self


def in_collections() -> int:
    """Return how many objects a collection looks at."""
    return len(gc.get_objects())


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Leave the collector as it was, whatever a test does to it."""
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_imported_is_not_looked_at_again() -> None:
    """Inside, nothing is collected; what was made there is in no later collection."""
    before = gc.get_freeze_count()
    with importing("never_there"):
        assert not gc.isenabled()
        made = [Node() for _ in range(10_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() - before >= len(made)
    assert in_collections() < len(made)


def test_a_package_that_is_there_changes_nothing() -> None:
    """Later loading is collected as ever: what is garbage then may be a model."""
    before = gc.get_freeze_count()
    with importing("gc"):
        assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_a_collector_that_is_off_stays_off() -> None:
    """Whoever has switched it off keeps it so, and has nothing frozen."""
    gc.disable()
    before = gc.get_freeze_count()
    with importing("never_there"):
        pass
    assert not gc.isenabled()
    assert gc.get_freeze_count() == before


def test_an_import_that_fails_leaves_it_on() -> None:
    """The error comes through, and collections go on."""
    with pytest.raises(ModuleNotFoundError), importing("never_there"):
        raise ModuleNotFoundError("never_there")
    assert gc.isenabled()
