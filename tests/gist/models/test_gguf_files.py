"""A GGUF file is a model like any other: dequantised once, and refused in one line if it is odd."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gist.models import gguf_files
from gist.models.loading import load_model, read_facts
from gist.models.model import LanguageModel
from harness.api import PROMPT
from harness.errors import UserError
from tests.support.paths import ROOT
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.tiny_models import CHAT_TEMPLATE


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which models are cached, for one test alone."""
    monkeypatch.setattr(gguf_files, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "gist-bench" / "models"


@pytest.fixture
def file(tiny_llama_folder: Path, tmp_path: Path) -> Path:
    """The tiny Llama as a GGUF file, nothing rounded."""
    return write_tiny_gguf(tmp_path / "tiny.gguf", tiny_llama_folder)


def load(name: Path | str) -> LanguageModel:
    """Load with a short prompt on the CPU."""
    return load_model(str(name), PROMPT, device="cpu")


def refusal(name: Path | str) -> str:
    """Return the one line with which loading is refused."""
    with pytest.raises(UserError) as caught:
        load(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def logits(lm: LanguageModel) -> torch.Tensor:
    """Return what a model says to some ids."""
    with torch.inference_mode():
        return lm.model(torch.arange(10, 60)[None]).logits


def test_a_file_loads_as_the_folder_that_it_was_made_from(
    file: Path, tiny_llama: LanguageModel
) -> None:
    """Logits, tokens and the chat template are the same."""
    lm = load(file)
    assert torch.allclose(logits(lm), logits(tiny_llama), atol=1e-5)
    text = "The rent is 2,480.\n\n  Übermorgen 17"
    assert lm.tokenizer.encode(text) == tiny_llama.tokenizer.encode(text)
    assert lm.tokenizer.inner.chat_template == CHAT_TEMPLATE
    assert lm.end_ids == {1}


def test_quantised_weights_are_dequantised(
    tiny_llama_folder: Path, tmp_path: Path, tiny_llama: LanguageModel
) -> None:
    """Weights of 8 bits become float32, near what they were."""
    lm = load(write_tiny_gguf(tmp_path / "eight.gguf", tiny_llama_folder, quantised=True))
    assert {each.dtype for each in lm.model.parameters()} == {torch.float32}
    name = "model.layers.0.self_attn.q_proj.weight"
    mine, theirs = (each.model.get_parameter(name) for each in (lm, tiny_llama))
    assert not torch.equal(mine, theirs)
    assert torch.allclose(mine, theirs, atol=0.02)


def test_a_file_in_a_folder_is_named_by_both(file: Path) -> None:
    """FOLDER:FILE.gguf is the file in the folder; what is not there is said."""
    assert load(f"{file.parent}:{file.name}").fingerprint == load(file).fingerprint
    assert "no file other.gguf" in refusal(f"{file.parent}:other.gguf")
    assert "no file" in refusal(file.with_name("other.gguf"))


def test_the_second_load_reads_the_cache_and_says_nothing(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one says in one line what it does; a copy of the file shares its folder."""
    with caplog.at_level(logging.WARNING):
        first = load(file)
    assert [r.message.count("once, into") for r in caplog.records] == [1]
    copy = file.with_name("copy.gguf")
    copy.write_bytes(file.read_bytes())
    monkeypatch.setattr(gguf_files, "_write_texts", None)
    monkeypatch.setattr(gguf_files, "_write_weights", None)
    caplog.clear()
    second = load(copy)
    assert not caplog.records
    assert second.fingerprint == first.fingerprint
    assert torch.equal(logits(first), logits(second))


@pytest.mark.parametrize(
    "damage", ["config.json", "tokenizer.json", "model.safetensors", "gguf.json"]
)
def test_a_damaged_cache_is_made_anew(file: Path, cache: Path, damage: str) -> None:
    """Whichever file is cut short, missing or full of zeros, the model is as it was."""
    expected = logits(load(file))
    (folder,) = (each for each in cache.iterdir() if (each / "model.safetensors").is_file())
    for content in ("cut", "zeros", "missing"):
        path = folder / damage
        data = path.read_bytes()
        if content == "missing":
            path.unlink()
        else:
            path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
                             if content == "zeros" else data[: len(data) // 2])  # fmt: skip
        assert torch.equal(logits(load(file)), expected)


def test_what_a_killed_process_left_is_no_obstacle(file: Path, cache: Path) -> None:
    """A half-written folder is dropped."""
    load(file)
    (folder,) = (each for each in cache.iterdir() if (each / "model.safetensors").is_file())
    partial = folder.with_name(f"{folder.name}.partial")
    folder.rename(partial)
    (partial / "model.safetensors").write_bytes(b"half")
    load(file)
    assert not partial.exists()


def test_two_processes_may_start_at_once(file: Path, tmp_path: Path) -> None:
    """Both get the model, and one of them makes it."""
    code = (
        "import logging, sys; logging.basicConfig()\n"
        "from gist.models.loading import load_model\n"
        "from harness.api import PROMPT\n"
        "lm = load_model(sys.argv[1], PROMPT, device='cpu')\n"
        "print(lm.fingerprint)"
    )
    environment = {"XDG_CACHE_HOME": str(tmp_path / "both"), "PYTHONPATH": str(ROOT), "PATH": ""}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | {"OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    assert len({out for out, _ in ended}) == 1
    assert sum(err.count("dequantising") for _, err in ended) == 1


def test_facts_need_no_weights(file: Path, cache: Path) -> None:
    """Configuration and tokenizer are read without dequantising anything."""
    config, tokenizer = read_facts(str(file))
    assert config.max_position_embeddings == 2048
    assert tokenizer.chat_template
    assert not list(cache.rglob("model.safetensors"))


def test_digits_are_single_tokens_where_the_file_says_so(
    tiny_llama_folder: Path, tmp_path: Path
) -> None:
    """White space before a digit stays whole, as SmolLM2 was trained."""
    file = write_tiny_gguf(tmp_path / "smol.gguf", tiny_llama_folder, pre="smollm")
    _, tokenizer = read_facts(str(file))
    cut = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a\n\n24")
    assert [piece for piece, _ in cut] == ["a", "ĊĊ", "2", "4"]


def test_a_file_that_cannot_be_read_is_one_line(
    file: Path, tiny_llama_folder: Path, tmp_path: Path
) -> None:
    """No GGUF, cut short, an unknown architecture, a missing tensor: each is refused by name."""
    nonsense = tmp_path / "nonsense.gguf"
    nonsense.write_bytes(b"this is no model")
    assert "transformers cannot read nonsense.gguf" in refusal(nonsense)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[:6000])
    assert "transformers cannot read cut.gguf" in refusal(cut)
    odd = write_tiny_gguf(tmp_path / "odd.gguf", tiny_llama_folder, architecture="rwkv7")
    assert "rwkv7" in refusal(odd)
    lacking = "model.layers.1.mlp.down_proj.weight"
    part = write_tiny_gguf(tmp_path / "part.gguf", tiny_llama_folder, without=lacking)
    assert f"lacks 1 of its model's tensors, such as {lacking}" in refusal(part)


def test_scaled_positions_are_refused(tiny_llama_folder: Path, tmp_path: Path) -> None:
    """Read without its scaling, a long context would be answered wrongly and silently."""
    file = write_tiny_gguf(tmp_path / "yarn.gguf", tiny_llama_folder, scaling="yarn")
    assert "scales its rotary positions (llama.rope.scaling.type=yarn)" in refusal(file)


def test_positions_are_scaled_as_llama_3_scales_them(
    tiny_llama_folder: Path, tmp_path: Path
) -> None:
    """A file with the divisors of the frequencies is the folder whose config.json has the rule."""
    folder = tmp_path / "folder"
    shutil.copytree(tiny_llama_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    plain = {"rope_type": "default", "rope_theta": 5e5}
    config["rope_parameters"] = plain | gguf_files.LLAMA3 | {"rope_type": "llama3", "factor": 8.0}
    (folder / "config.json").write_text(json.dumps(config))
    wanted = load(folder)
    frequencies = wanted.model.get_decoder().rotary_emb.inv_freq
    divisors = (5e5 ** -(torch.arange(4) / 4) / frequencies).tolist()
    assert divisors == pytest.approx([1.0, 1.0, 2.9, 8.0], abs=0.5)
    options = {"rope_base": 5e5, "divisors": divisors}
    lm = load(write_tiny_gguf(tmp_path / "three.gguf", tiny_llama_folder, **options))
    assert torch.allclose(lm.model.get_decoder().rotary_emb.inv_freq, frequencies)
    assert torch.allclose(logits(lm), logits(wanted), atol=1e-5)
    odd = {"rope_base": 5e5, "divisors": [1.0, 2.0, 4.0, 8.0]}
    file = write_tiny_gguf(tmp_path / "odd.gguf", tiny_llama_folder, **odd)
    assert "scales its rotary positions (rope_freqs.weight)" in refusal(file)


def test_another_file_than_the_expected_one_is_refused(file: Path) -> None:
    """A shipped file with another hash says what to type."""
    with pytest.raises(UserError, match=r"damaged or another version.*pip install it"):
        gguf_files.dequantised_folder(file, "tiny", sha256="0" * 64, advice="pip install it")


def test_a_full_disk_is_one_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is needed and what is free stand in it, and nothing is left behind."""
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(gguf_files.shutil, "disk_usage", lambda _: usage)
    assert "XDG_CACHE_HOME" in refusal(file)
