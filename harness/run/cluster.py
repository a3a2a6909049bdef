"""A Ray of our own or one that others have started, and how many workers it has room for."""

import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec

from harness.errors import UserError, reading

MISSING = '--ray needs Ray, which is not installed. Type: pip install "gist-bench[ray]"'
STORE_BYTES = 2**28  # contexts and rows on their way; more goes to the disk
CONNECT_S = 10.0


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Start a Ray of our own, or join one.

    Args:
        address: `auto` or HOST:PORT of a cluster; empty: a Ray for this machine and this run.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    if "://" in address:
        raise UserError(
            f"--ray {address} is no address of a cluster. Start the command on a machine of the "
            "cluster, with --ray auto or HOST:PORT as `ray start` prints it."
        )
    if find_spec("ray") is None:
        raise UserError(MISSING)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers
    if not address:  # one that Ray makes stays in the home folder, and later clusters ask for it
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    import ray

    own = {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    advice = (
        "Start one with `ray start --head`, or give --ray alone. Where it asks for a token, set "
        "RAY_AUTH_MODE=token."
    )
    with reading(f"Ray at {address or 'this machine'}", fault="cannot be reached", advice=advice):
        if ":" in address:  # Ray would try for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        ray.init(address=address or "local", **quiet, **({} if address else own))
    try:
        with redirect_stdout(sys.stderr):  # Ray talks to the output, where tables belong
            yield
    finally:
        ray.shutdown()


@dataclass(frozen=True, slots=True)
class Share:
    """How many workers there are, and what each of them has."""

    workers: int
    gpus: int
    cpus: int

    def __str__(self) -> str:
        each = "1 GPU" if self.gpus else f"{self.cpus} CPU cores" if self.cpus > 1 else "1 CPU core"
        return f"{self.workers} workers with {each} each"


def share_of(nodes: Sequence[Mapping[str, float]], threads: int, *, on_gpus: bool) -> Share:
    """Return a worker for each GPU, or for so many cores where there is no GPU.

    Args:
        nodes: what each machine has, as Ray counts it.
        threads: cores of a worker without a GPU.
        on_gpus: whether GPUs are wanted.

    Raises:
        UserError: there is neither.
    """
    with_gpus = [node for node in nodes if node.get("GPU", 0) >= 1 and on_gpus]
    if with_gpus:
        cpus = min(int(node.get("CPU", 0) // node["GPU"]) for node in with_gpus)
        return Share(sum(int(node["GPU"]) for node in with_gpus), 1, cpus)
    cores = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    if not cores:
        raise UserError("Ray has no GPU and no CPU core to give. Start it with --num-cpus.")
    threads = min(threads, *cores)
    return Share(sum(each // threads for each in cores), 0, threads)
