"""What an installed gist-bench must be: no clash of names, light commands, true pins."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions, entry_points
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.paths import ROOT

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("harness", "backends", "gist", "benchmarks")
NOT_SHIPPED = ("results", "tests")
HEAVY = ("torch", "transformers", "pandas", "chromadb", "sentence_transformers", "datasets")


def top_levels(distribution: Distribution) -> set[str]:
    """Return the names that a distribution adds to what can be imported."""
    declared = distribution.read_text("top_level.txt")
    if declared is not None:
        return set(declared.split())
    return {path.parts[0].removesuffix(".py") for path in distribution.files or ()}


def clashes(installed: Iterable[Distribution]) -> list[str]:
    """Return a line for each distribution but ours that ships a package under one of our names."""
    return [
        f"{distribution.name} ships {name}"
        for distribution in installed
        for name in sorted(top_levels(distribution).intersection((*PACKAGES, *NOT_SHIPPED)))
        if canonicalize_name(distribution.name) != "gist-bench"
    ]


def pins(text: str) -> dict[str, Version]:
    """Return the exact version of each distribution in a constraints file."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    pairs = (line.split("==") for line in lines if line)
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def requirements() -> list[Requirement]:
    """Return every requirement of the project, those of the extras included."""
    project = PYPROJECT["project"]
    extras = (line for lines in project["optional-dependencies"].values() for line in lines)
    return [Requirement(line) for line in (*project["dependencies"], *extras)]


def run_without(blocked: Iterable[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a gist-bench command in a process in which the `blocked` packages cannot be imported."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({tuple(blocked)!r}))\n"
        "from harness.cli import main\n"
        f"main({list(arguments)!r})"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_no_other_distribution_ships_a_package_of_our_names() -> None:
    """Our package names are plain words, so a dependency could shadow them: none does."""
    assert clashes(distributions()) == []


@pytest.mark.parametrize("record", ["top_level.txt", "RECORD"])
def test_a_clash_is_noticed(tmp_path: Path, record: str) -> None:
    """A distribution that ships a package called harness is named, however it declares it."""
    info = tmp_path / "rival-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    (info / record).write_text({"RECORD": "harness/__init__.py,,\n"}.get(record, "harness\n"))
    assert clashes(distributions(path=[str(tmp_path)])) == ["rival ships harness"]


def test_the_installed_entry_points_are_those_of_pyproject() -> None:
    """The command, the backends and the suites of the installed metadata are not stale."""
    wanted = {
        "console_scripts": PYPROJECT["project"]["scripts"],
        **PYPROJECT["project"]["entry-points"],
    }
    for group, declared in wanted.items():
        found = {point.name: point.value for point in entry_points(group=group)}
        assert declared.items() <= found.items()


def test_the_console_script_starts_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`gist-bench` is installed, and what it names is the program."""
    (script,) = entry_points(group="console_scripts", name="gist-bench")
    with pytest.raises(SystemExit) as ended:
        script.load()(["--version"])
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out.startswith("gist-bench ")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list"]])
def test_help_and_list_work_without_heavy_packages(arguments: list[str]) -> None:
    """Asking what there is imports neither torch nor pandas nor chromadb."""
    result = run_without(HEAVY, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_a_blocked_package_that_is_needed_is_noticed() -> None:
    """The check above can fail: without click there is no help."""
    assert run_without(["click"], "--help").returncode != 0


@pytest.mark.parametrize("requirement", requirements(), ids=lambda found: found.name)
def test_the_tested_version_is_within_the_declared_range(requirement: Requirement) -> None:
    """Each direct dependency is pinned in constraints.txt, to a version that pyproject admits."""
    pinned = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


def test_each_dependency_has_its_reason() -> None:
    """A line of pyproject that installs something says, in a comment, what for."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for requirement in PYPROJECT["project"]["dependencies"]:
        assert re.search(rf'"{re.escape(requirement)}",  # \S', text), requirement


def test_the_wheel_holds_the_modules_and_the_reference_model(tmp_path: Path) -> None:
    """Whatever is tracked below a package is in the wheel, and nothing of tests or results is."""
    tree = tmp_path / "tree"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    code = f"import setuptools.build_meta as b; b.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= packed
    assert not [path for path in packed if path.startswith(("tests/", "results/"))]
