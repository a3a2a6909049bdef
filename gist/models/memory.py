"""How much memory is free, and whether a need fits into it.

Looked at before anything is allocated, because the two kinds of device fail differently: a GPU's
allocator raises, while Linux ends the whole process without a word. In a container the cgroup's
limit counts, which the machine's own figures do not show; both versions of cgroups are read.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from harness.errors import OutOfMemory

GIB = 2**30
USABLE = 0.9  # share of the free RAM that is offered; libraries and fragments take the rest
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
NO_LIMIT = 2**60  # version 1 writes a number near 2**63 for "no limit"


def free_bytes(device: torch.device | str) -> int:
    """Return the bytes that can still be allocated on `device`.

    On CUDA, what the driver has free plus what this process's allocator holds unused; on any
    other device, the smaller of the available RAM and what the cgroup still allows.
    """
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + unused
    available = int(psutil.virtual_memory().available)
    allowed = cgroup_free_bytes()
    return available if allowed is None else min(available, allowed)


def usable_bytes(device: torch.device | str) -> int:
    """Return how much of the free memory of `device` may be asked for at once."""
    free = free_bytes(device)
    return free if torch.device(device).type == "cuda" else int(free * USABLE)


def check_fits(need_bytes: int, device: torch.device | str, *, what: str) -> None:
    """Refuse a need that is larger than what is free; `what` needs it, and begins the message.

    Raises:
        OutOfMemory: with both figures, in GiB.
    """
    usable = usable_bytes(device)
    if need_bytes > usable:
        raise OutOfMemory(
            f"{what} needs {need_bytes / GIB:.2f} GiB on {device}, where {usable / GIB:.2f} GiB "
            "can be used. Try fewer tokens, a smaller model, or --load-in-4bit."
        )


@contextmanager
def limited(device: torch.device | str, gib: float | None) -> Iterator[None]:
    """Let PyTorch use at most so many GiB of a GPU, as if it were a smaller GPU.

    What is allocated already counts. A CPU has no such limit. Afterwards the limit is off and
    memory that nothing holds has gone back.
    """
    if torch.device(device).type != "cuda" or gib is None:
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, gib * GIB / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        gc.collect()
        torch.cuda.empty_cache()


def cgroup_limit_bytes(root: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int | None:
    """Return the smallest memory limit over this process's cgroups, None where there is none."""
    limits = [limit for limit, _ in _limits(root, own)]
    return min(limits, default=None)


def cgroup_free_bytes(root: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int | None:
    """Return what this process's cgroups still allow, None where they set no limit."""
    free = [max(limit - used, 0) for limit, used in _limits(root, own)]
    return min(free, default=None)


def _limits(root: Path, own: Path) -> list[tuple[int, int]]:
    """Return (limit, used) in bytes of every cgroup with a limit, from this process's own up.

    A container often sees its own group as the root while `/proc/self/cgroup` names the path on
    the host, so groups that are not there are passed over.
    """
    if not own.is_file():
        return []
    found = []
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            top = root
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = root / "memory"
        else:
            continue
        group = Path(path)
        found += [_read_limit(top / g.relative_to("/"), *names) for g in (group, *group.parents)]
    return [pair for pair in found if pair is not None]


def _read_limit(group: Path, limit: str, used: str, reclaimable: str) -> tuple[int, int] | None:
    """Return (limit, used) of one cgroup in bytes; file cache does not count as used."""
    if not (group / limit).is_file():
        return None
    text = (group / limit).read_text().strip()
    if text == "max" or int(text) >= NO_LIMIT:
        return None
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int(text), int((group / used).read_text()) - int(stat.get(reclaimable, 0))
