"""The clock, and what a phase needs of memory: measured the same for every backend.

Every phase starts from the same state: garbage collected, freed memory handed back to the system
(glibc's heap or CUDA's cache), the peak reset. What is counted: see `harness.memory`.

Seconds are those of a clock, so they hold the time in which other work had the processor too. Linux
counts that for each thread, and it stands beside them.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.errors import OutOfMemory
from harness.memory import memory_of

T = TypeVar("T")
WAITING = Path("/proc/thread-self/schedstat")  # of this thread: ns it ran, ns it waited to run


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one phase took."""

    seconds: float
    waited_s: float | None  # of them, ready to run while other work had the processor
    baseline_bytes: int | None  # in use when the phase began
    peak_bytes: int | None  # the most in use during the phase, the baseline included
    reserved_bytes: int | None  # the most that CUDA's caching allocator held; None on CPU


def clock_s() -> float:
    """Return seconds on the clock that all measurements read; only differences mean anything."""
    return time.perf_counter()


def _waited_s() -> float | None:
    """Return the seconds for which this thread has waited for a processor; None: not known."""
    try:
        return int(WAITING.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):  # another system, or a kernel that does not count
        return None


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
        waited_before, start = _waited_s(), clock_s()
        result = phase()
        memory.synchronize()
        seconds, waited = clock_s() - start, _waited_s()
        return result, Measurement(
            seconds,
            None if waited is None or waited_before is None else waited - waited_before,
            baseline,
            memory.peak_bytes(),
            memory.reserved_bytes(),
        )

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
