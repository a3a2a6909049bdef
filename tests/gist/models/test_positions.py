"""How far a model can be used with cached entries, and windows that hide nothing."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache

from gist.models.architecture import positions_of
from gist.models.loading import load_model, read_facts
from harness.api import PROMPT
from harness.errors import ContextTooLong, UserError

SWITCH = 64
HALF = 4  # of a head of 8
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0] * HALF,
    "long_factor": [8.0, 4.0, 2.0, 16.0],
    "original_max_position_embeddings": SWITCH,
    "rope_theta": 10_000.0,
}


def folder_with(source: Path, place: Path, **changes: object) -> Path:
    """Copy a model with another configuration."""
    shutil.copytree(source, place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, **changes}))
    return place


def test_a_model_ends_where_its_rotary_angles_switch(
    tiny_qwen3_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Up to there cached and one-pass logits agree; past it they do not, so it is refused."""
    folder = folder_with(tiny_qwen3_folder, tmp_path / "m", rope_parameters=LONGROPE)
    with caplog.at_level(logging.WARNING):
        lm = load_model(str(folder), PROMPT, device="cpu", dtype="float64")
    assert lm.max_positions == SWITCH == positions_of(read_facts(str(folder))[0])
    assert f"sequences end at {SWITCH} of 2048 positions" in caplog.text
    ids = lm.ids([[3 + k % 50 for k in range(SWITCH + 8)]])

    def difference(tokens: int) -> float:
        """Between the last logits of one pass and of a pass that goes on from a cache."""
        with torch.inference_mode():
            whole = lm.model(ids[:, :tokens]).logits[0, -1]
            cache = DynamicCache()
            lm.model(ids[:, : tokens - 8], past_key_values=cache)
            rest = lm.model(ids[:, tokens - 8 : tokens], past_key_values=cache).logits[0, -1]
        return float((whole - rest).abs().max())

    assert difference(SWITCH) < 1e-9
    assert difference(SWITCH + 4) > 1e-3  # the trap
    lm.reserve(SWITCH, entries=SWITCH, new_tokens=1, batch=1)
    with pytest.raises(ContextTooLong, match=f"needs {SWITCH + 1} positions, .* has {SWITCH}"):
        lm.reserve(SWITCH + 1, entries=SWITCH + 1, new_tokens=1, batch=1)


@pytest.mark.parametrize("kind", ["default", "linear", "yarn", "llama3"])
def test_angles_that_are_fixed_do_not_end_a_model(
    tiny_qwen3_folder: Path, tmp_path: Path, kind: str
) -> None:
    """Scaled rotary embeddings that are the same at every length keep all positions."""
    rope = {"rope_type": kind, "factor": 4.0, "original_max_position_embeddings": 512,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 1e4}  # fmt: skip
    folder = folder_with(tiny_qwen3_folder, tmp_path / "m", rope_parameters=rope)
    assert positions_of(read_facts(str(folder))[0]) == 2048


@pytest.mark.parametrize("window", [2048, 262_144])
def test_a_window_longer_than_all_positions_is_none(
    tiny_qwen3_folder: Path, tmp_path: Path, window: int
) -> None:
    """It hides nothing: the model is measured as the one without it."""
    wide = {"use_sliding_window": True, "sliding_window": window, "max_window_layers": 0,
            "layer_types": ["sliding_attention"] * 2}  # fmt: skip
    folder = folder_with(tiny_qwen3_folder, tmp_path / "m", **wide)
    with_window = load_model(str(folder), PROMPT, device="cpu")
    without = load_model(str(tiny_qwen3_folder), PROMPT, device="cpu")
    assert with_window.model.config.sliding_window is None
    ids = without.ids([[5, 6, 7, 8]])
    with torch.inference_mode():
        assert torch.equal(with_window.model(ids).logits, without.model(ids).logits)
    folder = folder_with(tiny_qwen3_folder, tmp_path / "narrow", **{**wide, "sliding_window": 2047})
    with pytest.raises(UserError, match="sliding window of 2047 tokens"):
        load_model(str(folder), PROMPT, device="cpu")
