"""The clock, and what a phase needs of memory: measured the same for every backend.

Every phase starts from the same state: garbage collected, freed memory handed back to the system
(glibc's heap or CUDA's cache), the peak reset. What is counted: see `harness.memory`.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from harness.errors import OutOfMemory
from harness.memory import memory_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one phase took."""

    seconds: float
    baseline_bytes: int | None  # in use when the phase began
    peak_bytes: int | None  # the most in use during the phase, the baseline included
    reserved_bytes: int | None  # the most that CUDA's caching allocator held; None on CPU


def clock_s() -> float:
    """Return seconds on the clock that all measurements read; only differences mean anything."""
    return time.perf_counter()


class Meter:
    """Measures phases on one device."""

    def __init__(self, device: str) -> None:
        self._memory = memory_of(device)
        self.memory_kind = self._memory.kind

    def measure(self, phase: Callable[[], T]) -> tuple[T, Measurement]:
        """Run `phase` from the same starting state and return its result with its measurement."""
        memory = self._memory
        gc.collect()
        memory.reset()
        memory.synchronize()
        baseline = memory.used_bytes()
        start = clock_s()
        result = phase()
        memory.synchronize()
        seconds = clock_s() - start
        return result, Measurement(seconds, baseline, memory.peak_bytes(), memory.reserved_bytes())

    @contextmanager
    def frozen_gc(self) -> Iterator[None]:
        """Keep all present objects out of collections, which would take 0.3 s with them."""
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()

    def clear(self) -> None:
        """Free the memory of earlier backends, reference cycles included."""
        gc.collect()
        self._memory.reset()


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn the allocators' own exceptions into `OutOfMemory`."""
    try:
        yield
    except MemoryError as full:
        raise OutOfMemory(str(full) or "not enough memory") from full
    except RuntimeError as full:
        # torch.OutOfMemoryError is a RuntimeError; PyTorch's CPU allocator raises a bare one.
        names = {kind.__name__ for kind in type(full).__mro__}
        if "OutOfMemoryError" in names or "can't allocate memory" in str(full):
            raise OutOfMemory(str(full).partition("\n")[0]) from full
        raise
