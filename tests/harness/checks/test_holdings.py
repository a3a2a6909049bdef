"""What can be reached from a prepared context is found, whatever was there before."""

import torch

from harness.checks.holdings import holdings


class Keeper:
    """Something that a backend could be."""

    def __init__(self, kept: object = None) -> None:
        self.kept = kept


def test_an_address_that_is_used_again_hides_nothing() -> None:
    """Objects that were known and have died since are no reason to pass over new ones."""
    backend = Keeper()
    known = holdings((backend, Keeper([Keeper() for _ in range(50)]), Keeper()))
    for _ in range(200):
        state = Keeper([Keeper(torch.zeros(64))])
        found = holdings((state, backend, Keeper()), known=known)
        assert sum(found.tensors.values()) == 256
        del state, found


def test_what_is_found_is_not_kept_alive() -> None:
    """What a context holds can be freed while its count is still looked at."""
    known = holdings((Keeper(),))
    tensor = torch.zeros(64)
    found = holdings((Keeper(tensor),), known=known)
    assert sum(found.tensors.values()) == 256
    assert not found.objects
