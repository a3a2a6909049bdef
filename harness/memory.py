"""What a device or this process has in use, and the most since a reset: the one memory probe.

On CUDA the figures are those of PyTorch's allocator. On Linux without a GPU they are the resident
size of the process, weights and interpreter included. Elsewhere nothing is known.
"""

import ctypes
from pathlib import Path

_STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc_pid_clear_refs(5): set the resident peak to the resident size


class Memory:
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


class _CudaMemory(Memory):
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


class _ResidentMemory(Memory):
    kind = "cpu_rss"

    def __init__(self, device: str) -> None:
        super().__init__(device)
        # glibc only: without it, freed memory stays in the heap and hides part of the next peak.
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)

    def reset(self) -> None:
        self._trim(0)
        CLEAR_REFS.write_text(_RESET_PEAK)

    def used_bytes(self) -> int | None:
        return _status_bytes("VmRSS:")

    def peak_bytes(self) -> int | None:
        return _status_bytes("VmHWM:")


def memory_of(device: str) -> Memory:
    """Return the counter of a device, by its name in torch."""
    if device.startswith("cuda"):
        return _CudaMemory(device)
    if device == "cpu" and _can_reset_peak():
        return _ResidentMemory(device)
    return Memory(device)


def _can_reset_peak() -> bool:
    try:
        CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:  # another system, or a sandbox that hides it
        return False
    return True


def _status_bytes(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024
