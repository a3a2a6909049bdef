"""The peak of bytes that PyTorch's CPU allocator held during some work, by its profiler.

Finer than the process's resident size: small models can be weighed, and nothing else counts.
"""

from collections.abc import Callable, Iterable
from typing import Any

from torch.profiler import ProfilerActivity, profile


def peak_allocated_bytes(work: Callable[[], object]) -> int:
    """Return the peak of allocated bytes, beyond what was there before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = work()  # kept until the profiler stops: freeing it is no part of the work
    del result
    trace: Any = profiler.profiler
    events = sorted(_allocations(trace.kineto_results.experimental_event_tree()))
    held = peak = 0
    for _, size in events:  # negative where memory was freed
        held += size
        peak = max(peak, held)
    return peak


def _allocations(events: Iterable[Any]) -> list[tuple[int, int]]:
    """Return (time, bytes) of every allocation in a tree of events."""
    found: list[tuple[int, int]] = []
    waiting = list(events)
    while waiting:
        event = waiting.pop()
        if event.tag.name == "Allocation":
            found.append((event.start_time_ns, event.extra_fields.alloc_size))
        waiting += event.children
    return found
