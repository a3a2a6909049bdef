"""inspect shows what a checkpoint says of itself, as much of it as there is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from gist.checkpoint import CARD, CONFIG, WEIGHTS, file_hash
from gist.models.reference import MODEL as REFERENCE
from tests.support.commands import GistBench
from tests.support.paths import ROOT

CURVE = [
    {"step": 200.0, "gist": 0.25, "shuffled": 0.125, "full": 0.96875},
    {"step": 400.0, "gist": 0.71875, "shuffled": 0.0625, "closed_book_on": 0.09375},
]
TRAINING: dict[str, Any] = {
    "sources": {"mine": "qa,data=mine.jsonl"},
    "data_hash": "d0d0cafe",
    "recipe": {"rank": 8, "bf16": False, "patience": None},
    "stages": [{"name": "all", "sources": {"mine": 1.0}, "max_steps": 400}],
    "seed": 11,
    "steps": 400,
    "versions": {"torch": "2.0"},
    "curve": CURVE,
    "table": [{"gists": "ratio=8", "context_tokens": "65-128", "gap_recovered": None}],
    "verdict": "gists are used",
}
DESCRIBED: dict[str, Any] = {
    "plan": {"rows": 4, "placement": "end"},
    "base": "tiny",
    "base_fingerprint": "ba5e",
    "prompt_hash": "9409",
    "ratios": [8.0, 16.0],
    "training": TRAINING,
}


def checkpoint(folder: Path, card: object) -> Path:
    """Write a checkpoint with a card and few weights."""
    folder.mkdir(parents=True)
    (folder / CARD).write_text(json.dumps(card), encoding="utf-8")
    weights = {
        "model.embed_tokens.gist_rows.weight": np.zeros((4, 6), np.float32),
        "model.layers.0.q_proj.lora_A.weight": np.zeros((2, 6), np.float32),
    }
    save_file(weights, folder / WEIGHTS)
    (folder / CONFIG).write_text("{}")
    return folder


def shown(gist_bench: GistBench, folder: Path, *, code: int = 0) -> str:
    """Return what the command prints: on stdout when it ends well, else on stderr."""
    done = gist_bench("inspect", folder)
    assert done.code == code
    assert bool(done.out) == (code == 0)
    return done.err if code else done.out


def words_of(text: str) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in text.splitlines()]


def test_everything_the_card_holds_is_shown(tmp_path: Path, gist_bench: GistBench) -> None:
    """Facts, sources, recipe, stages, curve and table; weights by number and size."""
    folder = checkpoint(tmp_path / "out", DESCRIBED)
    lines = words_of(shown(gist_bench, folder))
    for line in (
        ["hash", file_hash(folder)],
        ["base", "tiny,", "fingerprint", "ba5e"],
        ["prompt", "hash", "9409"],
        ["plan", "rows", "4,", "placement", "end"],
        ["ratios", "8,", "16", "context", "tokens", "per", "gist"],
        ["data", "hash", "d0d0cafe"],
        ["mine", "qa,data=mine.jsonl"],
        ["seed", "11"],
        ["steps", "400"],
        ["torch", "2.0"],
        ["rank", "8"],
        ["bf16", "false"],
        ["patience", "-"],
        ["verdict", "gists", "are", "used"],
        ["all", "mine", "1", "400"],
        ["ratio=8", "65-128", "-"],
    ):
        assert line in lines
    (size,) = (line for line in lines if line[:1] == ["size"])
    assert " ".join(size).startswith("size LoRA 12 parameters, gist embeddings 4 x 6, ")


def test_points_of_the_curve_may_lack_what_others_have(
    tmp_path: Path, gist_bench: GistBench
) -> None:
    """Columns are those of all points together."""
    lines = words_of(shown(gist_bench, checkpoint(tmp_path / "out", DESCRIBED)))
    assert ["step", "gist", "shuffled", "full", "closed_book_on"] in lines
    assert ["200", "0.25", "0.125", "0.96875", "-"] in lines
    assert ["400", "0.71875", "0.0625", "-", "0.09375"] in lines


@pytest.mark.parametrize(
    "card",
    [{}, {"training": None}, {"training": {"curve": [], "table": "none", "stages": {}}}],
    ids=["empty", "no training", "odd types"],
)
def test_missing_keys_are_no_mistake(tmp_path: Path, gist_bench: GistBench, card: object) -> None:
    """An older or a newer card is shown as far as it goes."""
    lines = words_of(shown(gist_bench, checkpoint(tmp_path / "out", card)))
    assert ["base", "-,", "fingerprint", "-"] in lines
    assert ["plan", "-"] in lines


def test_missing_or_broken_weights_are_named(tmp_path: Path, gist_bench: GistBench) -> None:
    """The card is shown all the same."""
    folder = checkpoint(tmp_path / "out", DESCRIBED)
    (folder / WEIGHTS).write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00not json")
    assert f"({WEIGHTS} cannot be read" in shown(gist_bench, folder)
    (folder / WEIGHTS).unlink()
    assert shown(gist_bench, folder).count(f"({WEIGHTS} is missing)") == 2  # size and hash


def test_the_output_folder_of_a_training_will_do(tmp_path: Path, gist_bench: GistBench) -> None:
    """The adapter in it is shown, with the end of the log beside it."""
    folder = checkpoint(tmp_path / "out/adapter", DESCRIBED)
    (tmp_path / "out/log.csv").write_text(
        "step,stage,loss,right\n1,all,5.25,\n400,all,0.123456,mine=0.5\n", encoding="utf-8"
    )
    text = shown(gist_bench, tmp_path / "out")
    assert str(folder) in text
    logged = "step 400 (all): loss 0.1235, right mine=0.5".split()
    assert ["last", "logged", *logged] in words_of(text)


@pytest.mark.parametrize("content", [None, "{", "[]"], ids=["no card", "no json", "no object"])
def test_what_is_no_checkpoint_is_one_line(
    tmp_path: Path, gist_bench: GistBench, content: str | None
) -> None:
    """With the folder's name, and what to give."""
    if content is not None:
        (tmp_path / CARD).write_text(content, encoding="utf-8")
    text = shown(gist_bench, tmp_path, code=2)
    assert text.count("\n") == 1
    assert str(tmp_path) in text


def test_a_missing_folder_is_one_line(tmp_path: Path, gist_bench: GistBench) -> None:
    """The message is not that of a folder without a card."""
    assert "no such folder" in shown(gist_bench, tmp_path / "none", code=2)


def test_the_reference_adapter_is_shown_without_torch() -> None:
    """By default, and at once."""
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try: main(['inspect'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert ran.stdout.endswith("False\n")
    assert file_hash(REFERENCE.adapter) in ran.stdout
