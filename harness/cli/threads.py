"""How many threads torch computes with, and how they wait: set before torch is imported.

Threads of libgomp spin while they wait. Where another process shares the cores, they take the time
that the others need, and a pass takes 40 times as long. After 10,000 turns, too short to notice on
idle cores, they sleep. Both are environment variables because libgomp reads them when it is loaded.
"""

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from harness.run.environment import OPENMP

SPINS = "10000"
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def share_cores(
    environ: MutableMapping[str, str] = os.environ,
    *,
    cgroups: Path = CGROUPS,
    own: Path = OWN_CGROUPS,
) -> None:
    """Set what libgomp reads, unless the user has set any of it or torch is there already."""
    if "torch" in sys.modules or any(name in environ for name in OPENMP):
        return
    environ["GOMP_SPINCOUNT"] = SPINS
    limit = cgroup_cores(cgroups, own)
    if limit is not None and limit < usable_cores():  # libgomp knows the affinity by itself
        environ["OMP_NUM_THREADS"] = str(limit)


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_cores(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int | None:
    """Return how many cores' time the cgroups allow, rounded up; None where they set no limit.

    A container often sees its own group as the root while `/proc/self/cgroup` names the path on
    the host, so groups that are not there are passed over.
    """
    lines = own.read_text().splitlines() if own.is_file() else []
    paths = [Path(line.split(":", 2)[2]) for line in lines if line.startswith("0::")]
    limits = []
    for group in (group for path in paths for group in (path, *path.parents)):
        file = cgroups / group.relative_to("/") / "cpu.max"
        quota, _, period = file.read_text().partition(" ") if file.is_file() else ("max", "", "")
        if quota != "max":
            limits.append(max(1, -(-int(quota) // int(period))))
    return min(limits, default=None)
