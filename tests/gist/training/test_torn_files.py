"""What a killed training leaves behind is taken up whole, or named."""

import os
from pathlib import Path

import pytest
from transformers import TrainerState

from gist.training.checks import claim_folder
from gist.training.logfiles import CURVE_FIELDS, append, curve_until, rows_until
from harness.errors import UserError


def test_a_torn_row_is_dropped_wherever_it_ends(tmp_path: Path) -> None:
    """Also within the last number, where what is left of it looks like a whole one."""
    path = tmp_path / "heldout.csv"
    for step in (100, 200, 300):
        row = {name: step + k / 8 for k, name in enumerate(CURVE_FIELDS)} | {"step": step}
        append(path, CURVE_FIELDS, row)
    whole = path.read_bytes()
    state = TrainerState(global_step=1000, is_world_process_zero=True)
    complete = rows_until(path, state, CURVE_FIELDS)
    assert [row["step"] for row in complete] == ["100", "200", "300"]
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        rows = rows_until(path, state, CURVE_FIELDS)
        assert rows == complete[: len(rows)]
        assert len(rows) == max(0, whole[:end].count(b"\n") - 1)
        assert not rows or path.read_bytes() == whole[: path.stat().st_size]


@pytest.mark.parametrize("column", CURVE_FIELDS)
def test_a_score_that_is_no_number_is_one_line(tmp_path: Path, column: str) -> None:
    """Whatever row and column it stands in."""
    path = tmp_path / "heldout.csv"
    good = dict.fromkeys(CURVE_FIELDS, 0.5)
    for step in (100, 200):
        append(path, CURVE_FIELDS, good | {"step": step, "gap_recovered": None})
    append(path, CURVE_FIELDS, good | {"step": 300, column: "0.5x"})
    append(path, CURVE_FIELDS, good | {"step": 400})
    state = TrainerState(global_step=1000, is_world_process_zero=True)
    with pytest.raises(UserError, match=r"heldout\.csv cannot be read: .*Remove it") as refused:
        curve_until(path, state)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[[1]]"])
def test_a_record_that_cannot_be_read_is_one_line(tmp_path: Path, content: str) -> None:
    """Of what was begun in a folder: an empty file is what an earlier version left when killed."""
    (tmp_path / "training.json").write_text(content)
    with pytest.raises(
        UserError, match=r"training\.json cannot be read|differs in seed"
    ) as refused:
        claim_folder(tmp_path, {"seed": 1}, resume=True)
    assert "\n" not in str(refused.value)


def test_the_record_of_a_training_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at any point of it, the folder holds the old record or the new one."""
    claim_folder(tmp_path, {"seed": 1}, resume=False)
    before = (tmp_path / "training.json").read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        claim_folder(tmp_path, {"seed": 2}, resume=False)
    assert (tmp_path / "training.json").read_bytes() == before
