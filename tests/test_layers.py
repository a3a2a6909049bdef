"""Who may import whom: the contracts in pyproject.toml hold, and each of them can fail.

Import-linter reads the contracts. What it cannot see is here too: what an import costs, and texts
that belong to one module.
"""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from harness.api import ABSTENTION, PROMPT
from tests.support.paths import ROOT

OURS = ("harness", "backends", "gist", "benchmarks")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
FAULTS = {  # one for each contract, in their order: the module and what is planted in it
    "gist/masks.py": "import harness.api",
    "backends/rag.py": "def late():\n    from harness.run import runner",
    "benchmarks/qa.py": "def late():\n    import torch",
    "harness/cli/run.py": "import backends.full",
    "harness/report/rows.py": "from gist import masks",
    "harness/errors.py": "import numpy",
    "harness/run/measure.py": "import harness.report.stats",
    "backends/retrieval/index.py": "import backends.kv.cached",
    "benchmarks/scoring/answers.py": "import benchmarks.generate.lexicon",
    "gist/models/fit.py": "import gist.training.losses",
}
HEAVY = (  # what takes more than a blink to import
    *("accelerate", "bitsandbytes", "bm25s", "chromadb", "datasets", "matplotlib", "numpy"),
    *("pandas", "peft", "scipy", "sentence_transformers", "torch", "transformers"),
)


def python(code: str, folder: Path) -> str:
    """Return what a program prints that runs in `folder`."""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_contracts_hold_and_each_can_fail(tmp_path: Path) -> None:
    """A copy of the packages keeps all; with one planted import for each, all are broken."""
    lint = "from importlinter.cli import lint_imports_command as c; c(['--no-cache', '--no-logo'])"
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            copied = tmp_path / path.relative_to(ROOT)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copied)
    assert f"{len(CONTRACTS)} kept, 0 broken" in python(lint, tmp_path)
    for path, fault in FAULTS.items():
        with (tmp_path / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{fault}\n")
    printed = python(lint, tmp_path)
    assert [c["name"] for c in CONTRACTS if f"{c['name']} BROKEN" not in printed] == []


def test_commands_and_plug_ins_import_nothing_heavy() -> None:
    """Heavy packages are imported inside functions, and a heavy import would be seen."""
    code = (
        "import importlib, pkgutil, sys\n"
        "for package in map(importlib.import_module, ('harness.cli', 'backends', 'benchmarks')):\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(found.name)\n"
        "    assert package.__name__ != 'harness.cli' or 'gist' not in sys.modules\n"
        f"print(*sorted(set(sys.modules).intersection({HEAVY!r})))"
    )
    assert python(code, ROOT).split() == []
    assert python(f"import pandas\n{code}", ROOT).split() == ["numpy", "pandas"]


def test_the_prompt_and_the_plug_ins_are_named_in_one_place() -> None:
    """No module repeats a text of the prompt, and harness spells no module of a plug-in."""
    texts = (ABSTENTION, *filter(None, PROMPT.head.split("\n")))
    for path in (path for package in OURS for path in (ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        values = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
        for value in (str(node.value) for node in values if id(node) not in prose):
            assert path == ROOT / "harness/api.py" or not any(text in value for text in texts), path
            assert "harness" not in path.parts or not value.startswith(("backends.", "benchmarks."))
