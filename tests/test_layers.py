"""Who may import whom, read from the syntax trees: nothing is imported to find out.

`faults(root)` returns one line for each import (or prompt text) that breaks a rule. The tree of
this repository has none, and for each rule a small planted tree shows that the rule can fail.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.api import ABSTENTION, PROMPT

ROOT = Path(__file__).parents[1]
OURS = ("harness", "backends", "gist", "benchmarks")
CONTRACTS = ("harness.api", "harness.errors")
HEAVY = (  # what takes more than a blink to import
    "accelerate",
    "bitsandbytes",
    "bm25s",
    "chromadb",
    "datasets",
    "numpy",
    "pandas",
    "peft",
    "scipy",
    "sentence_transformers",
    "torch",
    "transformers",
)
PROMPT_TEXTS = (ABSTENTION, *(line for line in PROMPT.head.split("\n") if line))


@dataclass(frozen=True, slots=True)
class Import:
    """One name that a file of ours imports."""

    source: str  # dotted name of the importing module
    target: str  # dotted name of what it imports
    line: int
    at_import: bool  # False inside a function, where it costs nothing until it is called


def within(name: str, packages: tuple[str, ...]) -> bool:
    """Tell whether the dotted `name` is one of `packages` or lies inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def module_name(path: Path, root: Path) -> str:
    """Return the dotted name of the module in `path`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def files(root: Path) -> dict[str, Path]:
    """Return our modules under `root` by dotted name."""
    paths = (path for package in OURS for path in sorted((root / package).rglob("*.py")))
    return {module_name(path, root): path for path in paths}


def targets(node: ast.AST, source: str, *, is_package: bool) -> Iterator[str]:
    """Yield the dotted names that one statement or call imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = source.split(".")[: len(source.split(".")) - node.level + is_package]
        base = ".".join([*(above if node.level else ()), *filter(None, (node.module,))])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        yield from (str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def imports(tree: ast.AST, source: str, *, is_package: bool) -> Iterator[Import]:
    """Yield every import below `tree`, but those that only a type checker sees."""

    def walk(node: ast.AST, at_import: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            at_import = False
        for target in targets(node, source, is_package=is_package):
            yield Import(source, target, getattr(node, "lineno", 0), at_import)
        inner = at_import and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner)

    return walk(tree, True)


def wrong_layer(found: Import) -> str | None:
    """Return the rule that an import breaks, whether it runs early or late."""
    package, target = found.source.split(".")[0], found.target
    ours = within(target, OURS)
    match package:
        case "gist" if ours and not within(target, ("gist",)):
            return "gist imports nothing of ours"
        case "backends" if ours and not within(target, (*CONTRACTS, "gist", "backends")):
            return "backends import harness.api, harness.errors and gist"
        case "benchmarks" if ours and not within(target, (*CONTRACTS, "benchmarks")):
            return "benchmarks import harness.api and harness.errors"
        case "benchmarks" if within(target, ("torch", "transformers")):
            return "benchmarks know no torch"
        case "harness" if within(target, ("backends", "benchmarks")):
            return "harness gets backends and benchmarks by entry point"
        case "harness" if within(target, ("gist",)) and not within(found.source, ("harness.cli",)):
            return "only harness.cli reaches gist"
        case "harness" if within(target, ("gist",)) and found.at_import:
            return "harness.cli reaches gist inside the command that needs it"
    return None


def heavy_chains(graph: dict[str, list[Import]]) -> Iterator[str]:
    """Yield the chains of early imports from a command or plug-in to a heavy package."""
    starts = [name for name in graph if within(name, ("backends", "benchmarks", "harness.cli"))]
    seen: dict[str, str] = {name: name for name in starts}
    queue = list(starts)
    while queue:
        name = queue.pop(0)
        for found in graph[name]:
            if found.at_import and within(found.target, HEAVY):
                yield f"{seen[name]}:{found.line} imports {found.target}: do it where it is used"
            for target in parents(found.target) if found.at_import else ():
                if target in graph and target not in seen:
                    seen[target] = f"{seen[name]} -> {target}"
                    queue.append(target)


def parents(name: str) -> list[str]:
    """Return `name` and the packages around it, which an import of it runs too."""
    parts = name.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def copied_prompt(tree: ast.AST, source: str) -> Iterator[str]:
    """Yield the string literals that repeat a piece of the prompt."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if any(text in str(node.value) for text in PROMPT_TEXTS):
            yield f"{source}:{node.lineno} repeats the prompt: take it from harness.api"


def faults(root: Path) -> list[str]:
    """Return one line for each rule that the modules under `root` break."""
    lines: list[str] = []
    graph: dict[str, list[Import]] = {}
    for name, path in files(root).items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        graph[name] = list(imports(tree, name, is_package=path.name == "__init__.py"))
        broken = ((found, wrong_layer(found)) for found in graph[name])
        lines += [f"{found.source}:{found.line} {rule}" for found, rule in broken if rule]
        if name != "harness.api":
            lines += copied_prompt(tree, name)
    return lines + list(heavy_chains(graph))


def test_every_import_of_this_repository_keeps_to_its_layer() -> None:
    """No module of ours breaks an import rule."""
    assert len(files(ROOT)) > len(OURS)
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("gist/a.py", "import harness.api", "gist imports nothing of ours"),
        ("gist/a.py", "def f():\n    from benchmarks import passkey", "gist imports nothing"),
        ("backends/a.py", "from harness.spec import Spec", "backends import harness.api"),
        ("backends/a.py", "from benchmarks.qa import Qa", "backends import harness.api"),
        ("backends/a.py", "from harness import runner", "backends import harness.api"),
        ("benchmarks/a.py", "from backends.rag import Rag", "benchmarks import harness.api"),
        ("benchmarks/a.py", "def f():\n    import gist.masks", "benchmarks import harness.api"),
        ("benchmarks/a.py", "def f():\n    import torch", "benchmarks know no torch"),
        ("harness/a.py", "def f():\n    import backends.full", "by entry point"),
        ("harness/a.py", "import_module('benchmarks.qa')", "by entry point"),
        ("harness/a.py", "from ..benchmarks import qa", "by entry point"),
        ("harness/a.py", "def f():\n    import gist.loading", "only harness.cli reaches gist"),
        ("harness/cli/a.py", "import gist.loading", "inside the command that needs it"),
        ("backends/a.py", "import torch.nn as nn", "do it where it is used"),
        ("backends/a.py", "class A:\n    from chromadb import Client", "do it where it is used"),
        ("harness/cli/a.py", "try:\n    import pandas\nfinally:\n    pass", "where it is used"),
        ("gist/a.py", f"PROMPT = {PROMPT.head!r}", "repeats the prompt"),
        ("backends/a.py", f"x = f'say {{1}} {ABSTENTION}'", "repeats the prompt"),
    ],
)
def test_each_rule_can_fail(tmp_path: Path, path: str, text: str, rule: str) -> None:
    """A planted fault is reported with its module and the rule, and nothing else is."""
    planted = tmp_path / path
    planted.parent.mkdir(parents=True)
    planted.write_text(text, encoding="utf-8")
    (fault,) = faults(tmp_path)
    assert fault.startswith(module_name(planted, tmp_path))
    assert rule in fault


def test_a_heavy_import_is_found_through_other_modules(tmp_path: Path) -> None:
    """The chain from a command to the heavy package is in the line."""
    (tmp_path / "harness/cli").mkdir(parents=True)
    (tmp_path / "harness/cli/a.py").write_text("from harness.b import c", encoding="utf-8")
    (tmp_path / "harness/b.py").write_text("import pandas", encoding="utf-8")
    (fault,) = faults(tmp_path)
    assert fault.startswith("harness.cli.a -> harness.b:1 imports pandas")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("harness/cli/a.py", "def f():\n    import gist.loading, torch"),
        ("backends/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("backends/a.py", "def f():\n    from gist.decode import ask"),
        ("backends/a.py", "from harness.api import Model\nfrom backends.cached import Cached"),
        ("gist/a.py", "import torch\nfrom gist.masks import mask\nfrom .masks import mask"),
        ("gist/a.py", f'"""The model says {ABSTENTION}."""'),
    ],
)
def test_what_is_allowed_raises_no_fault(tmp_path: Path, path: str, text: str) -> None:
    """Late imports, type-only imports, neighbours and prose are free."""
    planted = tmp_path / path
    planted.parent.mkdir(parents=True)
    planted.write_text(text, encoding="utf-8")
    assert faults(tmp_path) == []
