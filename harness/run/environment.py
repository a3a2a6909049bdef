"""What could change a run's rows beside its configuration: packages, machine, our code."""

import hashlib
import importlib.metadata
import inspect
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.api import SERVER

_ROOT = Path(__file__).parents[2]  # of the four packages
# What decides a row. The command line and the report may change under a run.
_CODE = ("harness/api.py", "harness/mentions.py", "harness/text.py")
_CODE_FOLDERS = ("harness/run", "harness/served", "backends", "benchmarks", "gist")
# How many threads compute and how they wait: they decide times, on a shared machine above all.
OPENMP = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
_PACKAGES = (
    "gist-bench",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "chromadb",
    "sentence-transformers",
    "bm25s",
    "numpy",
    "safetensors",
)


def environment(device: str) -> dict[str, Any]:
    """Return the versions and the machine that a run on `device` depends on, for `run.json`."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": "" if device == SERVER else _gpu_name(device) or _cpu_name(),
        "threads": None if device == SERVER else _threads(),
        "openmp": {name: os.environ[name] for name in OPENMP if name in os.environ},
        "packages": {name: version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two environments and could change a row or a time.

    The platform and the commit are for the reader: a kernel update or a new README changes no row,
    and the code has a hash of its own.
    """
    pairs = {name: (before.get(name), now[name]) for name in ("python", "processor", "threads")}
    packages = before.get("packages", {})
    pairs |= {name: (packages.get(name), new) for name, new in now["packages"].items()}
    return [f"{name} {old} -> {new}" for name, (old, new) in pairs.items() if old != new]


def code_hash(classes: Iterable[type]) -> str:
    """Return a hash of the source that decides the rows, that of plug-in `classes` included."""
    files = {_ROOT / name for name in _CODE}
    for folder in _CODE_FOLDERS:
        files |= set((_ROOT / folder).rglob("*.py"))
    files |= {Path(inspect.getfile(kind)) for kind in classes}
    digest = hashlib.sha256()
    for path in sorted(files, key=str):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def version(name: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu_name(device: str) -> str:
    if not device.startswith("cuda"):
        return ""
    import torch

    return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else os.cpu_count()


def _commit() -> str | None:
    """Return a checkout's commit, `-dirty` if it has changes; None for an installed package."""
    git = shutil.which("git")
    if not git or not (_ROOT / ".git").exists():
        return None
    describe = [git, "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
    found = subprocess.run(describe, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
