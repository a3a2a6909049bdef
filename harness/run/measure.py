"""The clock and the memory peak: the one place that reads them, the same for every backend.

Every phase starts from the same state: garbage collected, freed memory handed back to the system
(glibc's heap or CUDA's cache), the peak counter reset. On CUDA the peak is that of PyTorch's
allocator. On Linux without a GPU it is the resident peak of the process, weights and interpreter
included. Elsewhere the peak is not known, and its cells stay empty.
"""

import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.errors import OutOfMemory

T = TypeVar("T")

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc_pid_clear_refs(5): set the resident peak to the resident size


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one phase took."""

    seconds: float
    baseline_bytes: int | None  # in use when the phase began
    peak_bytes: int | None  # the most in use during the phase, the baseline included
    reserved_bytes: int | None  # the most that CUDA's caching allocator held; None on CPU


class _Memory:
    """What is known of a device without a peak counter: nothing. Others override what they know."""

    kind = ""  # what is counted, as written to the column `memory_kind`

    def __init__(self, device: str) -> None:
        self._device = device

    def reset(self) -> None:
        """Return freed memory to the system and reset the peak."""

    def used_bytes(self) -> int | None:
        """Return what is in use now."""
        return None

    def peak_bytes(self) -> int | None:
        """Return the most that was in use since `reset`."""
        return None

    def reserved_bytes(self) -> int | None:
        """Return the most that the allocator held since `reset`."""
        return None

    def synchronize(self) -> None:
        """Wait until the device has finished its work."""
        if self._device.startswith("mps"):
            from torch import mps

            mps.synchronize()


class _CudaMemory(_Memory):
    kind = "cuda_allocated"

    def __init__(self, device: str) -> None:
        from torch import cuda

        super().__init__(device)
        self._cuda = cuda

    def reset(self) -> None:
        self._cuda.empty_cache()
        self._cuda.reset_peak_memory_stats(self._device)

    def used_bytes(self) -> int | None:
        return self._cuda.memory_allocated(self._device)

    def peak_bytes(self) -> int | None:
        return self._cuda.max_memory_allocated(self._device)

    def reserved_bytes(self) -> int | None:
        return self._cuda.max_memory_reserved(self._device)

    def synchronize(self) -> None:
        self._cuda.synchronize(self._device)


class _ResidentMemory(_Memory):
    kind = "cpu_rss"

    def __init__(self, device: str) -> None:
        super().__init__(device)
        # glibc only: without it, freed memory stays in the heap and hides part of the next peak.
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)

    def reset(self) -> None:
        self._trim(0)
        _CLEAR_REFS.write_text(_RESET_PEAK)

    def used_bytes(self) -> int | None:
        return _status_bytes("VmRSS:")

    def peak_bytes(self) -> int | None:
        return _status_bytes("VmHWM:")


def _memory_of(device: str) -> _Memory:
    if device.startswith("cuda"):
        return _CudaMemory(device)
    if device == "cpu" and _can_reset_peak():
        return _ResidentMemory(device)
    return _Memory(device)


def _can_reset_peak() -> bool:
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:  # another system, or a sandbox that hides it
        return False
    return True


def _status_bytes(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


class Meter:
    """Measures phases on one device."""

    def __init__(self, device: str) -> None:
        self._memory = _memory_of(device)
        self.memory_kind = self._memory.kind

    def measure(self, phase: Callable[[], T]) -> tuple[T, Measurement]:
        """Run `phase` from the same starting state and return its result with its measurement."""
        memory = self._memory
        gc.collect()
        memory.reset()
        memory.synchronize()
        baseline = memory.used_bytes()
        start = time.perf_counter()
        result = phase()
        memory.synchronize()
        seconds = time.perf_counter() - start
        return result, Measurement(seconds, baseline, memory.peak_bytes(), memory.reserved_bytes())

    def freeze_gc(self) -> None:
        """Keep all present objects out of later collections, which would take 0.3 s with them."""
        gc.freeze()

    def unfreeze_gc(self) -> None:
        """Let the garbage collector see everything again."""
        gc.unfreeze()

    def clear(self) -> None:
        """Free the memory of earlier backends, reference cycles included."""
        gc.unfreeze()
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
