"""Files: whole after a crash, and written by one process at a time."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UserError, reading
from harness.files import append, locked, open_to_append, write_atomically, write_whole
from tests.support.paths import ROOT


def test_a_second_process_is_told_which_one_holds_the_lock(tmp_path: Path) -> None:
    """The message names the process and the protected folder; then the lock is free again."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness.errors import UserError\n"
        "from harness.files import locked\n"
        "try:\n"
        "    with locked(Path(sys.argv[1]), protected=Path('a/folder')): print('held')\n"
        "except UserError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]

    def second() -> str:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    with locked(tmp_path / "lock", protected=tmp_path):
        for _ in range(2):  # a refused process takes nothing away
            assert second() == (
                f"process {os.getpid()} is writing to a/folder. Wait for it, or stop it first."
            )
    assert second() == "held"


def test_the_lock_is_freed_when_its_holder_fails(tmp_path: Path) -> None:
    """An exception passes through, and the next one gets the lock."""
    with pytest.raises(LookupError), locked(tmp_path / "lock", protected=tmp_path):
        raise LookupError
    with (
        locked(tmp_path / "lock", protected=tmp_path),
        pytest.raises(UserError, match=f"process {os.getpid()} is writing"),
        locked(tmp_path / "lock", protected=tmp_path),
    ):
        pass


def test_a_failed_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk shows when the data is synced: the old file stays, and no other."""
    path = tmp_path / ("long" * 60)
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_written_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    """The temporary file is not its owner's alone."""
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "atomic", b"x")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_data_is_added_at_the_end_as_it_is(tmp_path: Path) -> None:
    """Line ends are not translated, and what was there stays."""
    for data in (b"one\r\n", b"two\n"):
        file = open_to_append(tmp_path / "log")
        append(file, data)
        os.close(file)
    assert (tmp_path / "log").read_bytes() == b"one\r\ntwo\n"


def test_a_link_is_not_followed_to_what_it_leads_to(tmp_path: Path) -> None:
    """Neither by a lock, nor by rows that are added, nor by a file on its way to its place."""
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(target)
    with (
        pytest.raises(UserError, match=r"is a link to .*precious\. Remove it"),
        locked(tmp_path / "link", protected=tmp_path),
    ):
        pass
    with pytest.raises(UserError, match="is a link to"):
        open_to_append(tmp_path / "link")
    waiting = tmp_path / f".store.json.{os.getpid()}.tmp"
    waiting.symlink_to(target)
    write_atomically(tmp_path / "store.json", b"new")
    write_atomically(tmp_path / "link", b"new")  # takes the link's place
    assert target.read_bytes() == b"precious"
    assert not (tmp_path / "link").is_symlink()
    assert not waiting.exists()


def test_a_named_file_that_does_not_fit_stays_as_it_was(tmp_path: Path) -> None:
    """A limit on the size of files stops the writing half-way: old content, no rest, its name."""
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from harness.files import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_whole(Path(sys.argv[1]), 'new' * 1000)\n"
        "except OSError as error: print(error.errno, error.filename)"
    )
    page = tmp_path / "page.html"
    page.write_text("old")
    command = [sys.executable, "-c", code, str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{errno.EFBIG} {page}"
    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


def test_a_named_file_keeps_its_link_and_its_permissions(tmp_path: Path) -> None:
    """What a link leads to is written, with the mode that it had."""
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.write_text("old")
    page.chmod(0o640)
    link.symlink_to(page)
    write_whole(link, "näw")
    assert page.read_bytes() == "näw".encode()
    assert link.is_symlink()
    assert stat.S_IMODE(page.stat().st_mode) == 0o640


def test_a_named_pipe_is_written_to(tmp_path: Path) -> None:
    """It is not replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_damaged_file(number: int) -> None:
    """A reader that keeps something elsewhere meets a full disk there; what it reads is whole."""
    with pytest.raises(OSError, match=f"Errno {number}"), reading("records.csv"):
        raise OSError(number, os.strerror(number))
