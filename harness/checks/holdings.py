"""What a prepared context really keeps: the memory that can be reached from it, each piece once.

Objects are followed as the garbage collector follows them (fields, slots, lists, caches, closures),
so that a place to hide in has to be a place that Python itself cannot see. Storages count, and not
tensors: a view keeps all that it is a view of. The model's own weights, and what the backend had
before, belong to no context.
"""

import array
import functools
import gc
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

MIN_TEXT = 16  # letters: shorter pieces of a context are words of an index
MIN_IDS = 16  # whole numbers in a row: fewer are sizes and places, not a text as token ids
ID_BYTES = 4
MAX_OBJECTS = 500_000
_FILLABLE = (dict, list, set, deque, bytearray, functools._lru_cache_wrapper)
_LEAVES = (type, types.ModuleType, types.FrameType, types.BuiltinFunctionType, int, float, bool)


@dataclass(frozen=True, slots=True)
class Holdings:
    """Memory that was reached, by address."""

    tensors: dict[int, int]  # storages of torch: bytes
    arrays: dict[int, int]  # of numpy, and bytes
    texts: dict[int, str]
    sums: tuple[tuple[Any, ...], ...] = ()  # of each tensor: shape, sum, sum of squares
    objects: tuple[object, ...] = ()  # all that was reached, alive: no address is used again
    fillable: tuple[object, ...] = ()  # of these, what more can be put into

    @property
    def bytes(self) -> int:
        """Bytes of all pieces, texts as UTF-8."""
        texts = sum(len(text.encode(errors="replace")) for text in self.texts.values())
        return sum(self.tensors.values()) + sum(self.arrays.values()) + texts

    @property
    def is_tensors_alone(self) -> bool:
        """Whether tensors are all that was found."""
        return not (self.arrays or self.texts)


def holdings(
    root: object, *, apart_from: Iterable[object] = (), known: Holdings | None = None
) -> Holdings:
    """Return what can be reached from `root`.

    Args:
        root: a prepared context, or a backend.
        apart_from: objects that are not entered: the model.
        known: what belongs to another that is still there: it is not counted, and entered only
            where something can have been put into it since.
    """
    outside = set(map(id, apart_from))
    if known is not None:
        outside |= set(map(id, known.objects)) - set(map(id, known.fillable))
    tensors: dict[int, int] = {}
    arrays: dict[int, int] = {}
    texts: dict[int, str] = {}
    sums: list[tuple[Any, ...]] = []
    reached = list(_reached(root, set(outside)))
    for found in reached:
        if isinstance(found, torch.Tensor):
            pieces = dict(_storages(found))
            if known is not None and not pieces.keys() <= known.tensors.keys():
                sums.append(_sums(found))
            tensors |= pieces
        elif isinstance(found, np.ndarray) and found.dtype != object:
            arrays |= dict([_array(found)])
        elif isinstance(found, bytes | bytearray | array.array):
            arrays[id(found)] = memoryview(found).nbytes
        elif isinstance(found, list | tuple) and _are_ids(found):
            arrays[id(found)] = ID_BYTES * len(found)
        elif isinstance(found, str):
            texts[id(found)] = found
    if known is not None:
        tensors = {at: size for at, size in tensors.items() if at not in known.tensors}
        arrays = {at: size for at, size in arrays.items() if at not in {**known.arrays, **tensors}}
        texts = {at: text for at, text in texts.items() if at not in known.texts}
    if known is not None:
        return Holdings(tensors, arrays, texts, tuple(sums))
    fillable = tuple(each for each in reached if isinstance(each, _FILLABLE))
    return Holdings(tensors, arrays, texts, (), tuple(reached), fillable)


def places_of(*owners: object) -> list[object]:
    """Return what their classes, and the modules of these, can keep things in."""
    kinds = {kind for owner in owners for kind in type(owner).__mro__ if kind is not object}
    modules = (sys.modules.get(kind.__module__) for kind in kinds)
    spaces = [*map(vars, kinds), *(vars(module) for module in modules if module is not None)]
    return [
        value
        for space in spaces
        for name, value in list(space.items())
        if isinstance(value, (*_FILLABLE, str, bytes, np.ndarray)) and not name.startswith("__")
    ]


def _are_ids(numbers: list[object] | tuple[object, ...]) -> bool:
    return len(numbers) >= MIN_IDS and all(type(each) is int for each in numbers)


def living_tensors() -> dict[int, int]:
    """Return the storages of all tensors that the garbage collector can list."""
    kinds: dict[type, bool] = {}
    found: dict[int, int] = {}
    for each in gc.get_objects():
        kind = type(each)  # not isinstance: some objects import a library when asked
        if kind not in kinds:
            kinds[kind] = issubclass(kind, torch.Tensor)
        if kinds[kind]:
            found |= dict(_storages(each))
    return found


def _reached(root: object, seen: set[int]) -> Iterator[object]:
    """Yield every object that can be reached, each once."""
    stack = [root]
    keep: list[object] = []  # so that no address is used twice
    while stack and len(keep) < MAX_OBJECTS:
        now = stack.pop()
        if id(now) in seen or isinstance(now, _LEAVES):
            continue
        seen.add(id(now))
        keep.append(now)
        yield now
        if isinstance(now, types.FunctionType):  # its globals are the module's
            stack += [now.__closure__, now.__defaults__, now.__kwdefaults__]
        elif isinstance(now, torch.Tensor):
            stack.append(getattr(now, "__dict__", None))
        elif not isinstance(now, str | bytes | bytearray):
            stack += gc.get_referents(now)


def _storages(tensor: torch.Tensor) -> Iterator[tuple[int, int]]:
    """Yield address and bytes of the storage behind a tensor, or behind the parts of a wrapper."""
    if tensor.device.type == "meta":
        return
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is not None and not isinstance(tensor, nn.Parameter):
        for name in flatten()[0]:
            yield from _storages(getattr(tensor, name))
        return
    if tensor.layout is not torch.strided:
        return
    storage = tensor.untyped_storage()
    if storage.nbytes():
        yield storage.data_ptr(), storage.nbytes()


def _array(array: "np.ndarray[Any, Any]") -> tuple[int, int]:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.__array_interface__["data"][0], 0 if isinstance(array, np.memmap) else array.nbytes


def _sums(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Return what tells two tensors apart, but for rounding."""
    if tensor.device.type == "meta" or tensor.layout is not torch.strided:
        return (tuple(tensor.shape),)
    wide = tensor.detach().double()
    return (tuple(tensor.shape), float(wide.sum()), float(wide.square().sum()))
