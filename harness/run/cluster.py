"""A Ray of our own or one that others have started, and how many workers it has room for."""

import faulthandler
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec

from harness.errors import UserError, reading

MISSING = '--ray needs Ray, which is not installed. Type: pip install "gist-bench[ray]"'
STORE_BYTES = 2**28  # contexts and rows on their way; more goes to the disk
CONNECT_S = 10.0
SHUTDOWN_S = 30.0

Heed = Callable[[], None]
"""Raises KeyboardInterrupt if Ctrl-C was pressed."""


@contextmanager
def connected(address: str) -> Iterator[Heed]:
    """Start a Ray of our own, or join one; Ctrl-C is heard where the driver asks whether it came.

    Args:
        address: `auto` or HOST:PORT of a cluster; empty: a Ray for this machine and this run.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
        KeyboardInterrupt: Ctrl-C was pressed.
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
    with _held_interrupts() as heed:
        _init(address)
        try:
            with redirect_stdout(sys.stderr):  # Ray talks to the output, where tables belong
                yield heed
        finally:
            _shut_down()
        heed()


def _init(address: str) -> None:
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


def _shut_down() -> None:
    """Leave Ray, or end this process where Ray does not let go.

    Ray joins its threads without a limit, and has hung there (ray-project/ray issue 44836). All
    rows are written by then. Where each thread was is printed, and the exit code is 1.
    """
    import ray

    faulthandler.dump_traceback_later(SHUTDOWN_S, exit=True)
    try:
        ray.shutdown()
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def _held_interrupts() -> Iterator[Heed]:
    """Hold back a first Ctrl-C until it is asked for; a second one ends the process at once.

    Raised anywhere, KeyboardInterrupt may come where Python drops it, in a destructor or a call
    back of Ray's, and the driver would wait for its workers on; or in the middle of Ray's start or
    end, and Ray would wait for a part of its own.
    """
    came = threading.Event()

    def hold(number: int, frame: object) -> None:
        del frame
        came.set()
        signal.signal(number, signal.SIG_DFL)

    def heed() -> None:
        if came.is_set():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # gets no signals
        yield heed
        return
    before = signal.signal(signal.SIGINT, hold)
    try:
        yield heed
    finally:
        signal.signal(signal.SIGINT, before)


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
