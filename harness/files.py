"""The hash of a file, and writing so that a crash leaves it whole, by one process at a time.

Standard library alone, and filelock where a lock is taken.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import UserError

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # Windows makes links for administrators alone


@contextmanager
def locked(path: Path, *, protected: Path) -> Iterator[None]:
    """Hold the lock file `path` while the context is open; no other process can hold it.

    Args:
        path: of the lock file; it stays, empty, when the lock is released.
        protected: the file or folder that the lock is for, as the message names it.

    Raises:
        UserError: another process holds it, or it is a link to somewhere else.
    """
    from filelock import FileLock, Timeout  # 0.1 s

    _refuse_link(path)  # what it leads to is emptied else
    holder = _read_holder(path)  # first: some versions of filelock empty the file when they try
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{holder} is writing to {protected}. Wait for it, or stop it first."
        ) from None
    try:
        _write_holder(path, f"{os.getpid()}\n")
        yield
    finally:
        _write_holder(path, "")
        lock.release()


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` in the place of a file: a crash leaves the old file or the new one."""
    unfinished = path.with_name(f".{path.name[:50]}.{os.getpid()}.tmp")
    unfinished.unlink(missing_ok=True)  # of a killed process; or a link that waits for us
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file that a person named, in UTF-8: all of it or nothing.

    A link is followed, permissions stay, and a pipe or a device is written to as it is.

    Raises:
        OSError: with the name that was given.
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        place = path.resolve()
        mode = place.stat().st_mode if place.exists() else None
        write_atomically(place, content)
        if mode is not None:
            place.chmod(mode)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def file_hash(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_to_append(path: Path) -> int:
    """Return the descriptor of a file that `append` adds to; it is made if it does not exist.

    Raises:
        UserError: it is a link to somewhere else.
    """
    _refuse_link(path)
    as_it_is = getattr(os, "O_BINARY", 0)  # Windows would write other line ends
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | as_it_is | _NO_LINKS
    return os.open(path, flags, 0o644)


def append(file: int, data: bytes) -> None:
    """Add `data` to a file; it is on the disk when this returns."""
    while data:  # a write may be cut short by a full disk; the next one raises
        data = data[os.write(file, data) :]
    os.fsync(file)


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        target = path.readlink()
        raise UserError(f"{path} is a link to {target}. Remove it, or choose another folder.")


def _write_holder(path: Path, process: str) -> None:
    # Windows lets nobody write to a locked file; a disk may be full.
    with suppress(OSError):
        file = os.open(path, os.O_WRONLY | os.O_TRUNC | _NO_LINKS)
        try:
            os.write(file, process.encode())
        finally:
            os.close(file)


def _read_holder(path: Path) -> str:
    try:
        process = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        process = ""
    return f"process {process}" if process.isdecimal() else "another process"
