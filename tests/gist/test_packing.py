"""KV entries in a few bits: how near they stay, and how many bytes they take."""

import pytest
import torch

from gist.caches import entries_of
from gist.decode import KVState, ask, read
from gist.models.fit import kv_bytes_per_entry
from gist.models.model import LanguageModel
from gist.packing import GROUP, pack, pack_state, unpack

SIZES = (1, 5, GROUP, GROUP + 1, 3 * GROUP + 7)


def drawn(entries: int, dim: int = 24, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return numbers with one channel that is large in every entry, as keys have."""
    draw = torch.randn(1, 2, entries, dim, generator=torch.Generator().manual_seed(entries))
    draw[..., 3] += 40
    return draw.to(dtype)  # (1, kv_heads, entries, head_dim)


def spread_of(tensor: torch.Tensor, *, by_entry: bool) -> torch.Tensor:
    """Return the difference of largest and smallest number in the group of each number."""
    dim = 3 if by_entry else 2
    parts = tensor.split(GROUP, dim=dim)
    spread = [part.amax(dim, keepdim=True) - part.amin(dim, keepdim=True) for part in parts]
    return torch.cat([s.expand_as(p) for s, p in zip(spread, parts, strict=True)], dim=dim)


@pytest.mark.parametrize("by_entry", [True, False])
@pytest.mark.parametrize("entries", SIZES)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_numbers_stay_within_half_a_step(bits: int, entries: int, by_entry: bool) -> None:
    """A step is the spread of the group over the number of codes; float16 adds its rounding."""
    numbers = drawn(entries)
    found = unpack(pack(numbers, bits, by_entry=by_entry), numbers.dtype)
    assert found.shape == numbers.shape
    step = spread_of(numbers, by_entry=by_entry) / (2**bits - 1)
    rounding = 2**-10 * numbers.abs().amax()
    assert ((found - numbers).abs() <= step / 2 + rounding).all()


def test_a_group_without_spread_is_exact() -> None:
    """Equal numbers come back as they were: nothing is divided by a step of 0."""
    numbers = torch.full((1, 2, 40, 8), 0.5)
    assert torch.equal(unpack(pack(numbers, 2, by_entry=False), numbers.dtype), numbers)


def test_a_channel_that_is_large_everywhere_does_not_coarsen_keys() -> None:
    """Grouped along the entries, such a channel has a minimum of its own."""
    numbers, others = drawn(4 * GROUP), torch.arange(24) != 3
    errors = [
        (unpack(pack(numbers, 4, by_entry=by_entry), numbers.dtype) - numbers)[..., others]
        for by_entry in (False, True)
    ]
    assert errors[0].abs().mean() < 0.2 * errors[1].abs().mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_what_is_held_is_packed_and_counted_with_its_scales(bits: int, dtype: torch.dtype) -> None:
    """Codes take their bits, and each group two numbers in float16; the dtype does not matter."""
    numbers = drawn(2 * GROUP, 32, dtype)
    packed = pack(numbers, bits, by_entry=True)
    groups = numbers.numel() // GROUP
    assert packed.held_bytes == numbers.numel() * bits // 8 + groups * 4
    assert packed.codes.dtype == torch.uint8


@pytest.mark.parametrize("exact", [0, 3])
def test_a_packed_state_answers_as_its_numbers_do(tiny_model: LanguageModel, exact: int) -> None:
    """The first entries are exact, the others are near, and the original is left as it was."""
    state = read(tiny_model, list(range(10, 90)))
    before = [tensor.clone() for layer in state.cache.layers for tensor in entries_of(layer)]
    packed = pack_state(state, 8, exact=exact)
    opened = packed.opened(tiny_model)
    assert (packed.entries, packed.next_position) == (80, 80)
    for layer, own in zip(opened.cache.layers, state.cache.layers, strict=True):
        for found, expected in zip(entries_of(layer), entries_of(own), strict=True):
            assert torch.equal(found[:, :, :exact], expected[:, :, :exact])
            assert torch.allclose(found, expected, atol=0.02 * float(expected.abs().max()))
    rows = [[20, 21, 22], [30]]
    answers = [ask(tiny_model, packed.opened(tiny_model), rows, max_new_tokens=5) for _ in "ab"]
    assert answers[0] == answers[1] == ask(tiny_model, opened, rows, max_new_tokens=5)
    after = [tensor for layer in state.cache.layers for tensor in entries_of(layer)]
    assert all(map(torch.equal, before, after))


def test_four_bits_hold_a_sixth_of_float32(tiny_model: LanguageModel) -> None:
    """5 bits a number with the scales, for whole groups; the exact entries are counted as such."""
    state = read(tiny_model, [5] * (2 + 4 * GROUP))
    per_entry = kv_bytes_per_entry(tiny_model.model.config, tiny_model.model.dtype)
    packed = pack_state(state, 4, exact=2)
    keys, values = per_entry / 2 / 32 * 5, per_entry / 2 / 32 * (4 + 32 / 8)  # head_dim is 8
    assert packed.held_bytes == 2 * per_entry + 4 * GROUP * (keys + values)


def test_clearing_frees_the_entries(tiny_model: LanguageModel) -> None:
    """Nothing is held after it."""
    packed = pack_state(read(tiny_model, [5] * 40), 4, exact=2)
    packed.clear()
    assert packed.held_bytes == 0
    assert isinstance(packed.exact, KVState)
