"""`gist-bench train-gist` from the command line: what it makes, and what it refuses."""

import json
from pathlib import Path

import pytest

from harness.cli import main

ROW = {
    "id": "lease",
    "context": "The flat in Mill Lane is let to Ada from May. The rent is 900.",
    "questions": [
        {"id": "1", "question": "Who rents it?", "answers": ["Ada"]},
        {"id": "2", "question": "Who owns it?", "answers": []},
    ],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of one's own with one context."""
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    return path


def run(*arguments: object) -> int:
    """Run the command line and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_an_adapter_trained_on_own_data_answers_in_a_run(
    tiny_qwen3_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """train-gist makes a checkpoint that `run` takes, and the records hold its answers."""
    output = tmp_path / "out"
    trained = ("train-gist", "--model", tiny_qwen3_folder, "--data", data, "--output", output)
    small = ("--max-steps", 2, "--batch-tokens", 600, "--ratio", 4, "--rank", 4, "--device", "cpu")
    assert run(*trained, *small) == 0
    adapter = Path(capsys.readouterr().out.strip())
    assert json.loads((adapter / "gist.json").read_text())["ratios"] == [4.0]
    suite, backend = f"qa,data={data},max_new_tokens=4", f"gist,checkpoint={adapter},ratio=4"
    asked = ("run", "--model", tiny_qwen3_folder, "--suite", suite, "--backend", backend)
    assert run(*asked, "--out", tmp_path / "runs", "--device", "cpu") == 0
    (records,) = (tmp_path / "runs").glob("*/records.csv")
    assert len(records.read_text().splitlines()) == 1 + len(ROW["questions"])


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("ranks: 4", "unknown option 'ranks'. Did you mean 'rank'?"),
        ("- 1", "must hold options"),
        ("a: [", "is no YAML"),
        ("stages: [{name: s, sources: {mina: 1}, max_steps: 2}]", "names the source 'mina'"),
        ("stages: [{name: s, sources: {}, max_steps: 2}]", "needs sources"),
        ("stages: [{name: s, sources: {mine: 1}, max_steps: 2}]", "no stage has gists"),
        ("stages: [{nam: s}]", "a stage is wrong"),
    ],
)
def test_a_wrong_configuration_is_one_line(
    yaml: str,
    message: str,
    tiny_llama_folder: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is wrong is named, the exit code is 2, and nothing is written."""
    config, output = tmp_path / "config.yaml", tmp_path / "out"
    config.write_text(yaml)
    given = ("--data", data, "--output", output, "--config", config)
    assert run("train-gist", "--model", tiny_llama_folder, *given) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in line
    assert not output.exists()


def test_a_folder_that_exists_is_never_written_into(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --resume an old output is refused, with it a missing one is."""
    assert run("train-gist", "--data", data, "--output", tmp_path) == 2
    assert "exists. Give another --output" in capsys.readouterr().err
    missing = tmp_path / "none"
    assert run("train-gist", "--data", data, "--output", missing, "--resume") == 2
    assert "nothing can be resumed" in capsys.readouterr().err


def test_training_on_nothing_is_refused(
    tiny_llama_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither data nor suites: the line says what to give."""
    given = ("--model", tiny_llama_folder, "--output", tmp_path / "out")
    assert run("train-gist", *given) == 2
    assert "Give --data FILE.jsonl or --suite SPEC" in capsys.readouterr().err
