"""The command shares the cores: threads sleep soon, and are as many as the limits allow."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.threads import cgroup_cores, share_cores, usable_cores
from harness.run.environment import OPENMP


@pytest.fixture(autouse=True)
def _without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier tests may have imported torch; the command has not."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def groups(root: Path, **limits: str) -> tuple[Path, Path]:
    """Return a tree of cgroups with these `cpu.max`, and the file that names the innermost."""
    group = root / "cgroups"
    group.mkdir(parents=True)
    names = []
    for name, limit in limits.items():
        group /= name
        names.append(name)
        group.mkdir()
        (group / "cpu.max").write_text(f"{limit}\n")
    own = root / "own"
    own.write_text(f"0::/{'/'.join(names)}\n")
    return root / "cgroups", own


def test_waiting_threads_sleep_soon(tmp_path: Path) -> None:
    """Where the user has said nothing, only the spinning is set."""
    cgroups, own = groups(tmp_path)
    environ: dict[str, str] = {}
    share_cores(environ, cgroups=cgroups, own=own)
    assert environ == {"GOMP_SPINCOUNT": "10000"}


@pytest.mark.parametrize("name", OPENMP)
def test_what_the_user_has_set_stays(tmp_path: Path, name: str) -> None:
    """Any of the three variables means that the user has chosen."""
    cgroups, own = groups(tmp_path, box="100000 100000")
    environ = {name: "3"}
    share_cores(environ, cgroups=cgroups, own=own)
    assert environ == {name: "3"}


def test_loaded_threads_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once torch is there, its threads are as they are, and run.json must not say otherwise."""
    monkeypatch.setitem(sys.modules, "torch", sys)
    environ: dict[str, str] = {}
    share_cores(environ, cgroups=tmp_path, own=tmp_path / "own")
    assert environ == {}


def test_a_container_s_limit_is_the_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest limit from the own group up counts, parts of a core rounded up."""
    monkeypatch.setattr("harness.cli.threads.usable_cores", lambda: 8)
    cgroups, own = groups(tmp_path, pod="400000 100000", box="150000 100000")
    environ: dict[str, str] = {}
    share_cores(environ, cgroups=cgroups, own=own)
    assert environ["OMP_NUM_THREADS"] == "2"


def test_no_limit_is_no_number(tmp_path: Path) -> None:
    """`max`, another version of cgroups, another system: the limit is unknown."""
    cgroups, own = groups(tmp_path, box="max 100000")
    assert cgroup_cores(cgroups, own) is None
    own.write_text("3:cpu,cpuacct:/box\n")
    assert cgroup_cores(cgroups, own) is None
    assert cgroup_cores(cgroups, tmp_path / "nothing") is None
    assert usable_cores() >= 1


def test_the_command_sets_them_before_it_imports_torch() -> None:
    """In a fresh process the variable is there, and torch is not."""
    code = (
        "import os, sys\n"
        "from harness.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={}, check=False
    )
    assert ran.stdout.split()[-2:] == ["10000", "False"], ran.stderr
