"""Files: whole after a crash, and written by one process at a time."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.files import append, locked, open_to_append, write_atomically
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
