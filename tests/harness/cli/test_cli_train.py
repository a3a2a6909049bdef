"""`gist-bench train-gist` from the command line: what it makes, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gist.checkpoint import AdapterCard, write_card
from gist.layout import GistPlan
from harness.cli.train import next_command
from harness.run.training_data import feed
from tests.support.commands import GistBench

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

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


@pytest.mark.parametrize("shots", [0, 2])
def test_an_adapter_trained_on_own_data_answers_in_a_run(
    tiny_qwen3_folder: Path, data: Path, tmp_path: Path, gist_bench: GistBench, shots: int
) -> None:
    """train-gist makes a checkpoint that `run` takes, and the records hold its answers.

    Its card says with how many worked examples, and `run` wants the same.
    """
    output = tmp_path / "out"
    trained = ("train-gist", "--model", tiny_qwen3_folder, "--data", data, "--output", output)
    small = ("--max-steps", 2, "--batch-tokens", 2000, "--ratio", 4, "--rank", 4, "--device", "cpu")
    done = gist_bench(*trained, *small, "--shots", shots)
    assert done.code == 0, done.err
    adapter = Path(done.out.strip())
    card = json.loads((adapter / "gist.json").read_text())
    assert (card["ratios"], card["shots"]) == ([4.0], shots)
    suite, backend = f"qa,data={data},max_new_tokens=4", f"gist,checkpoint={adapter},ratio=4"
    asked = ("run", "--model", tiny_qwen3_folder, "--suite", suite, "--backend", backend)
    arguments = (*asked, "--out", tmp_path / "runs", "--device", "cpu")
    refused = gist_bench(*arguments, "--shots", 2 - shots)
    assert (refused.code, f"Add --shots {shots}." in refused.err) == (2, True)
    done = gist_bench(*arguments, "--shots", shots)
    assert done.code == 0, done.err
    (records,) = (tmp_path / "runs").glob("*/records.csv")
    assert len(records.read_text().splitlines()) == 1 + len(ROW["questions"])


def test_a_source_of_a_configuration_is_given_its_file(
    tiny_qwen3_folder: Path, data: Path, tmp_path: Path, gist_bench: GistBench
) -> None:
    """The other options of the source stay; a name that is no source is refused."""
    config, output = tmp_path / "mine.yaml", tmp_path / "out"
    config.write_text(
        "placement: pool\nrank: 4\nratios: [4]\nmixed: true\nmax_steps: 1\nbatch_tokens: 600\n"
        "sources: {mine: 'qa,data=nowhere.jsonl,max_new_tokens=4'}\n"
    )
    base = ("train-gist", "--model", tiny_qwen3_folder, "--config", config, "--output", output)
    done = gist_bench(*base, "--source", f"yours={data}", "--device", "cpu")
    assert done.code == 2
    assert "Sources: mine" in done.err
    done = gist_bench(*base, "--source", f"mine={data}", "--device", "cpu")
    assert done.code == 0, done.err
    card = json.loads((Path(done.out.strip()) / "gist.json").read_text())
    assert card["training"]["sources"] == {"mine": f"qa,data={data},max_new_tokens=4"}
    assert card["plan"]["placement"] == "pool"


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
    gist_bench: GistBench,
) -> None:
    """What is wrong is named, the exit code is 2, and nothing is written."""
    config, output = tmp_path / "config.yaml", tmp_path / "out"
    config.write_text(yaml)
    given = ("--data", data, "--output", output, "--config", config)
    done = gist_bench("train-gist", "--model", tiny_llama_folder, *given)
    assert done.code == 2, done.err
    line = done.err.strip().splitlines()[-1]
    assert message in line
    assert not output.exists()


def test_a_folder_that_exists_is_never_written_into(
    data: Path, tmp_path: Path, gist_bench: GistBench
) -> None:
    """Without --resume an old output is refused, with it a missing one is."""
    done = gist_bench("train-gist", "--data", data, "--output", tmp_path)
    assert done.code == 2, done.err
    assert "exists. Give another --output" in done.err
    missing = tmp_path / "none"
    done = gist_bench("train-gist", "--data", data, "--output", missing, "--resume")
    assert done.code == 2, done.err
    assert "nothing can be resumed" in done.err


def test_training_on_nothing_is_refused(
    tiny_llama_folder: Path, tmp_path: Path, gist_bench: GistBench
) -> None:
    """Neither data nor suites: the line says what to give."""
    given = ("--model", tiny_llama_folder, "--output", tmp_path / "out")
    done = gist_bench("train-gist", *given)
    assert done.code == 2, done.err
    assert "Give --data FILE.jsonl or --suite SPEC" in done.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--model", "shape:llama-3-8b"), "billion parameters and this machine no GPU"),
        (("--tokens", 5000), "compress nothing"),
        (("--ratio", 8, "--tokens", 4), "give ratios or tokens, not both"),
        (
            ("--placement", "interleaved", "--segment-tokens", 4, "--rows", 8),
            "segments of 4 tokens are shorter than 8 gists",
        ),
        (("--epochs", 1, "--max-steps", 3), "same thing twice"),
        (("--answers", 0), "needs a weight above 0"),
        (("--ratio", 0.5), "must be at least 1"),
        (("--context-tokens", 3), "has no context of at most 3 tokens"),
        (("--target", "no_such_layer"), "LoRA cannot be added to no_such_layer"),
    ],
)
def test_a_wrong_option_is_one_line(
    given: tuple[object, ...],
    message: str,
    tiny_llama_folder: Path,
    data: Path,
    tmp_path: Path,
    gist_bench: GistBench,
) -> None:
    """What is wrong is named, and the exit code is 2."""
    output = tmp_path / "out"
    model = () if "--model" in given else ("--model", tiny_llama_folder)
    done = gist_bench("train-gist", *model, "--data", data, "--output", output, *given)
    assert done.code == 2, done.err
    assert message in done.err.strip().splitlines()[-1]
    assert not list(output.glob("checkpoint-*"))


def test_data_that_cannot_be_learnt_from_is_refused(
    tiny_llama_folder: Path, tmp_path: Path, gist_bench: GistBench
) -> None:
    """No answerable question, or a context beyond the model's positions: the row is named."""
    base = ("train-gist", "--model", tiny_llama_folder, "--output", tmp_path / "out")
    empty = tmp_path / "empty.jsonl"
    questions = [{"id": "1", "question": "Who?", "answers": []}]
    empty.write_text(json.dumps(ROW | {"questions": questions}) + "\n")
    done = gist_bench(*base, "--data", empty)
    assert done.code == 2, done.err
    assert "nothing can be learnt" in done.err
    shape = ("--model", f"shape:{tiny_llama_folder}/config.json", "--output", tmp_path / "out")
    done = gist_bench("train-gist", *shape, "--suite", "qa,split=train,documents=12")
    assert done.code == 2, done.err
    assert "random weights" in done.err
    long = tmp_path / "long.jsonl"
    rows = [ROW, ROW | {"id": "long", "context": "Much text. " * 300}]
    long.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = gist_bench(*base, "--data", long)
    assert done.code == 2, done.err
    line = done.err.strip().splitlines()[-1]
    assert "row 2 (long)" in line
    assert "positions" in line
    assert not (tmp_path / "out").exists()


def test_contexts_are_held_back_by_document(tiny_llama: "LanguageModel", tmp_path: Path) -> None:
    """Parts of one document are never on both sides; small files are trained on whole."""
    path = tmp_path / "parts.jsonl"
    rows = [ROW | {"id": f"doc{d}.{part}"} for d in range(20) for part in range(3)]
    rows = [row | {"context": f"{row['id']} {ROW['context']}"} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fed = feed(f"qa,data={path}", tiny_llama.tokenizer, hold=10)
    held = {context.split(".")[0] for context, _ in fed.held}
    trained = {context.split(".")[0] for context, _ in fed.source(0)}
    assert len(fed.held) == 6
    assert fed.contexts == 54
    assert held.isdisjoint(trained)
    assert len(held | trained) == 20
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:9:3]))
    assert feed(f"qa,data={path}", tiny_llama.tokenizer, hold=10).held == []


@pytest.mark.slow
def test_two_processes_train_one_adapter(
    tiny_llama_folder: Path, data: Path, tmp_path: Path
) -> None:
    """Under torchrun each process reads its own batches; one of them writes."""
    output = tmp_path / "out"
    options = ["--model", tiny_llama_folder, "--data", data, "--output", output, "--max-steps", 3]
    options += ["--batch-tokens", 600, "--ratio", 4, "--rank", 4, "--plain", 0.4]
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--standalone",
    ]
    program = ["--no-python", sys.executable, "-c", "from harness.cli import main; main()"]
    ended = subprocess.run(
        [*torchrun, *program, "train-gist", *map(str, options)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    card = json.loads((output / "adapter" / "gist.json").read_text())
    assert card["training"]["steps"] == 3
    assert ended.stdout.count(str(output / "adapter")) == 1


def test_a_dry_run_shows_what_training_would_take(
    tiny_llama_folder: Path, tmp_path: Path, gist_bench: GistBench
) -> None:
    """A small shape is measured, a large one computed, and nothing is trained or written."""
    small = ("--model", f"shape:{tiny_llama_folder}/config.json", "--context-tokens", 256)
    done = gist_bench("train-gist", *small, "--dry-run", "--rank", 4, "--device", "cpu")
    assert done.code == 0, done.err
    assert done.out.count("measured") >= 2
    done = gist_bench("train-gist", "--model", "shape:llama-3-8b", "--load-in-4bit", "--dry-run")
    assert done.code == 0, done.err
    printed = done.out
    assert printed.count("computed") >= 6
    assert "7,600" in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("found", ["gists are used", "the model ignores its gists: ..."])
def test_the_next_command_is_named(tmp_path: Path, found: str) -> None:
    """An adapter of use is compared; another is trained longer, from where it stands."""
    folder = tmp_path / "out/adapter"
    folder.mkdir(parents=True)
    card = AdapterCard(GistPlan(8), "m", "f", "p", (8.0,), {"verdict": found})
    write_card(folder, card)
    typed = ["train-gist", "--data", "a.jsonl", "--output", "out", "--rank", "4", "--resume"]
    line = next_command(folder, typed, {"model": "m"})
    if found == "gists are used":
        assert line.startswith("Next: gist-bench run --suite qa --model m --backend full")
        assert f"gist,checkpoint={folder}" in line
    else:
        assert line == (
            "Train longer: gist-bench train-gist --data a.jsonl --rank 4 "
            f"--init-adapter {folder} --output {tmp_path}/out-longer"
        )
