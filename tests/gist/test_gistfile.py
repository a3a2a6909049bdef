"""A gist file answers as the memory it was made from, or is refused in one line."""

import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import DynamicCache

from gist.adapter import attached
from gist.checkpoint import file_hash
from gist.compress import compress
from gist.decode import KVState, ask
from gist.gistfile import identity, load_gist_file, write_gist_file
from gist.gistheader import Manifest, read_manifest
from gist.models.model import LanguageModel
from harness.errors import OutOfMemory, UserError
from tests.support.tiny_adapter import PLAN, save_tiny_adapter
from tests.support.tiny_models import load_tiny

CONTEXT = tuple(range(10, 200))
QUESTION = [60, 61, 62]
GISTS = 12


@pytest.fixture(scope="module")
def lm(tiny_qwen3_folder: Path) -> LanguageModel:
    """A tiny model without its adapter."""
    return load_tiny(tiny_qwen3_folder)


@pytest.fixture(scope="module")
def adapter(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter for the tiny model."""
    return save_tiny_adapter(lm, tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="module")
def adapted(lm: LanguageModel, adapter: Path) -> Iterator[LanguageModel]:
    """The tiny model with its adapter on."""
    with attached(lm, adapter):
        yield lm


@pytest.fixture(scope="module")
def state(adapted: LanguageModel) -> KVState:
    """A compressed context; asking leaves it as it is."""
    return compress(adapted, CONTEXT, gists=GISTS, plan=PLAN)


@pytest.fixture(scope="module")
def manifest(adapted: LanguageModel, adapter: Path, state: KVState) -> Manifest:
    """What its file says."""
    return Manifest(
        model=adapted.name,
        checkpoint=str(adapter),
        **identity(adapted, file_hash(adapter)),
        context_tokens=len(CONTEXT),
        gists=GISTS,
        prefix_entries=state.entries - GISTS,
        next_position=state.next_position,
        source="lease.txt",
        source_bytes=190,
        source_sha256="0" * 64,
        options="tokens=12",
    )


@pytest.fixture
def file(tmp_path: Path, state: KVState, manifest: Manifest) -> Path:
    """A good gist file."""
    path = tmp_path / "lease.gist"
    write_gist_file(path, state, manifest)
    return path


def answered(lm: LanguageModel, state: KVState) -> list[list[int]]:
    """Ask a state for a few tokens."""
    return ask(lm, state, [QUESTION], max_new_tokens=6, min_new_tokens=6)


def refusal(path: Path, lm: LanguageModel, adapter: Path) -> str:
    """Return the one line with which a file is refused."""
    with pytest.raises((UserError, OutOfMemory)) as refused:
        load_gist_file(path, lm, file_hash(adapter))
    text = str(refused.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def rewritten(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change the header of a file, and leave its tensors as they are."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def test_a_loaded_file_is_what_was_in_memory(
    file: Path, adapted: LanguageModel, adapter: Path, state: KVState, manifest: Manifest
) -> None:
    """Fields, entries, bytes held and answers are alike to the bit."""
    said, loaded = load_gist_file(file, adapted, file_hash(adapter))
    assert said == manifest == read_manifest(file)
    assert loaded.held_bytes == state.held_bytes
    for mine, theirs in zip(loaded.cache.layers, state.cache.layers, strict=True):
        assert mine.keys is not None
        assert torch.equal(mine.keys, theirs.keys)
        assert torch.equal(mine.values, theirs.values)
    assert answered(adapted, loaded) == answered(adapted, state)


def test_half_precision_comes_back_to_the_bit(
    tiny_llama: LanguageModel, tmp_path: Path, manifest: Manifest
) -> None:
    """bfloat16 has no type in numpy; its bits are kept all the same."""
    tiny_llama.model.bfloat16()
    adapter = save_tiny_adapter(tiny_llama, tmp_path / "adapter")
    with attached(tiny_llama, adapter):
        made = compress(tiny_llama, CONTEXT, gists=GISTS, plan=PLAN)
        said = replace(
            manifest,
            **identity(tiny_llama, file_hash(adapter)),
            prefix_entries=made.entries - GISTS,
            next_position=made.next_position,
        )
        write_gist_file(tmp_path / "x.gist", made, said)
        _, loaded = load_gist_file(tmp_path / "x.gist", tiny_llama, file_hash(adapter))
    assert said.dtype == "bfloat16"
    for mine, theirs in zip(loaded.cache.layers, made.cache.layers, strict=True):
        assert mine.keys is not None
        assert torch.equal(mine.keys.view(torch.int16), theirs.keys.view(torch.int16))


def test_nothing_is_overwritten_unasked(file: Path, state: KVState, manifest: Manifest) -> None:
    """What is there stays, to the byte, unless it is to be overwritten; no temporary file stays."""
    before = file.read_bytes()
    with pytest.raises(UserError, match="--force"):
        write_gist_file(file, state, replace(manifest, source="other"))
    assert file.read_bytes() == before
    write_gist_file(file, state, replace(manifest, source="other"), force=True)
    assert read_manifest(file).source == "other"
    assert list(file.parent.iterdir()) == [file]


def test_a_link_is_not_written_through(tmp_path: Path, state: KVState, manifest: Manifest) -> None:
    """A link to nowhere counts as something that is there; forced, the link is replaced."""
    link, target = tmp_path / "link.gist", tmp_path / "target"
    link.symlink_to(target)
    with pytest.raises(UserError, match="exists"):
        write_gist_file(link, state, manifest)
    write_gist_file(link, state, manifest, force=True)
    assert not link.is_symlink()
    assert not target.exists()


def test_a_write_that_fails_leaves_what_was_there(
    file: Path, state: KVState, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk shows when the file is flushed: the old file stays, nothing else does."""
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_gist_file(file, state, manifest, force=True)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("base_fingerprint", "f" * 16, "another model"),
        ("prompt_hash", "f" * 16, "another prompt"),
        ("adapter_hash", "f" * 16, "another adapter"),
        ("dtype", "bfloat16", "dtype"),
        ("load_in_4bit", 1, "4-bit"),
        ("next_position", 0, "position 0"),
        ("next_position", 2049, "position 2049"),
        ("prefix_entries", 3, "not what"),
        ("gists", 0, "not what"),
        ("gists", 10**14, "not those of|needs"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path,
    adapted: LanguageModel,
    adapter: Path,
    state: KVState,
    manifest: Manifest,
    field: str,
    value: object,
    reason: str,
) -> None:
    """Every field that decides answers is compared, in a file whose checksum is right."""
    path = tmp_path / "x.gist"
    write_gist_file(path, state, replace(manifest, **{field: value}))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=reason):
        load_gist_file(path, adapted, file_hash(adapter))


def test_a_file_of_an_older_shipped_adapter_is_to_be_made_again(
    tmp_path: Path, adapted: LanguageModel, adapter: Path, state: KVState, manifest: Manifest
) -> None:
    """It names no folder that could be given."""
    path = tmp_path / "x.gist"
    write_gist_file(path, state, replace(manifest, adapter_hash="f" * 16, checkpoint=""))
    with pytest.raises(UserError, match=r"version of the adapter of .*: compress"):
        load_gist_file(path, adapted, file_hash(adapter))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused(
    tmp_path: Path, adapted: LanguageModel, adapter: Path, manifest: Manifest, number: float
) -> None:
    """One of them would spread to every answer."""
    spoilt = compress(adapted, CONTEXT, gists=GISTS, plan=PLAN)
    layer = spoilt.cache.layers[1]
    assert layer.values is not None
    with torch.inference_mode():
        layer.values[0, 0, 3, 2] = number
    write_gist_file(tmp_path / "x.gist", spoilt, manifest)
    assert "finite" in refusal(tmp_path / "x.gist", adapted, adapter)


@pytest.mark.parametrize("what", ["layers", "entries", "heads", "dtype"])
def test_entries_of_another_shape_are_refused(
    tmp_path: Path,
    adapted: LanguageModel,
    adapter: Path,
    state: KVState,
    manifest: Manifest,
    what: str,
) -> None:
    """What does not have the model's shape does not reach the model."""
    odd = DynamicCache()
    for number, layer in enumerate(state.cache.layers[: 1 if what == "layers" else None]):
        assert layer.keys is not None
        assert layer.values is not None
        keys, values = layer.keys, layer.values
        if what == "entries":
            keys, values = keys[:, :, 1:], values[:, :, 1:]
        elif what == "heads":
            keys, values = keys[:, :1], values[:, :1]
        elif what == "dtype":
            keys, values = keys.half(), values.half()
        odd.update(keys, values, number)
    write_gist_file(tmp_path / "x.gist", KVState(odd, state.next_position), manifest)
    assert "damaged" in refusal(tmp_path / "x.gist", adapted, adapter)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_noticed(
    data: st.DataObject, file: Path, adapted: LanguageModel, adapter: Path
) -> None:
    """Header or entries: one bit is enough to be refused."""
    content = bytearray(file.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    where = data.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(content) - 1)))
    content[where] ^= 1 << data.draw(st.integers(0, 7))
    flipped = file.with_name("flipped.gist")
    flipped.write_bytes(content)
    refusal(flipped, adapted, adapter)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_any_shorter_file_is_noticed(
    share: float, file: Path, adapted: LanguageModel, adapter: Path
) -> None:
    """A file that was cut anywhere is refused; so is one with something behind it."""
    content = file.read_bytes()
    cut = file.with_name("cut.gist")
    cut.write_bytes(content[: int(share * len(content))])
    refusal(cut, adapted, adapter)
    cut.write_bytes(content + b"\0")
    refusal(cut, adapted, adapter)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400), length=st.one_of(st.none(), st.integers(0, 400)))
def test_noise_is_refused(
    content: bytes, length: int | None, tmp_path: Path, adapted: LanguageModel, adapter: Path
) -> None:
    """Any bytes, also behind a believable length of a header."""
    path = tmp_path / "noise.gist"
    path.write_bytes(content if length is None else struct.pack("<Q", length) + content)
    refusal(path, adapted, adapter)


def test_a_huge_header_is_not_read(tmp_path: Path, adapted: LanguageModel, adapter: Path) -> None:
    """A header may say that it is larger than all memory, in a file that is as large on paper."""
    path = tmp_path / "x.gist"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2**40))
        file.truncate(2**40 + 8)  # sparse: no disk
    assert "beginning" in refusal(path, adapted, adapter)


def test_a_huge_payload_is_not_read(
    file: Path, adapted: LanguageModel, adapter: Path, manifest: Manifest
) -> None:
    """A file of a terabyte with sizes that agree is refused for its size, before it is read."""
    shape = [2, manifest.entries, 8]
    end = 2**40

    def grow(header: dict[str, object]) -> None:
        for name in list(header):
            if name != "__metadata__":
                header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}

    rewritten(file, grow)
    with file.open("r+b") as opened:
        length = int.from_bytes(opened.read(8), "little")
        opened.truncate(8 + length + end)
    assert "needs" in refusal(file, adapted, adapter)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("next_position", "-5"),
        ("next_position", "1e3"),
        ("gists", "9" * 5000),
        ("gists", "\u0663"),  # a digit, but not ours
        ("source", "\x1b[2J"),  # a terminal would obey
        ("source", 7),
        ("format", "gist-bench 99"),
    ],
)
def test_strange_fields_are_refused(
    file: Path, adapted: LanguageModel, adapter: Path, field: str, text: object
) -> None:
    """A field is a line of text or a plain number, and is never shown before it is checked."""

    def change(header: dict[str, object]) -> None:
        metadata = header["__metadata__"]
        assert isinstance(metadata, dict)
        metadata[field] = text

    rewritten(file, change)
    assert "\x1b" not in refusal(file, adapted, adapter)


@pytest.mark.parametrize("field", ["checksum", "gists", "format"])
def test_a_missing_field_is_refused(
    file: Path, adapted: LanguageModel, adapter: Path, field: str
) -> None:
    """A header without one of its fields is damaged."""

    def change(header: dict[str, object]) -> None:
        metadata = header["__metadata__"]
        assert isinstance(metadata, dict)
        del metadata[field]

    rewritten(file, change)
    refusal(file, adapted, adapter)


def test_a_header_that_nests_too_deep_is_refused(
    tmp_path: Path, adapted: LanguageModel, adapter: Path
) -> None:
    """JSON that would exhaust the stack is one line too."""
    text = b"[" * 500_000
    path = tmp_path / "x.gist"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    refusal(path, adapted, adapter)


def test_what_is_no_gist_file_is_refused(
    tmp_path: Path, adapted: LanguageModel, adapter: Path
) -> None:
    """A pickle, other safetensors, a folder, nothing, an empty file, a loop of links, a pipe."""
    path = tmp_path / "x"
    refusal(path, adapted, adapter)
    path.write_bytes(pickle.dumps({"keys": [1, 2, 3]}))
    refusal(path, adapted, adapter)
    save_file({"keys.0": torch.zeros(2, 3)}, path)
    refusal(path, adapted, adapter)
    path.write_bytes(b"")
    refusal(path, adapted, adapter)
    path.unlink()
    path.symlink_to(path)
    refusal(path, adapted, adapter)
    path.unlink()
    path.mkdir()
    refusal(path, adapted, adapter)
    os.mkfifo(tmp_path / "pipe")
    assert "plain file" in refusal(tmp_path / "pipe", adapted, adapter)


def test_a_link_to_a_good_file_is_the_file(
    file: Path, adapted: LanguageModel, adapter: Path, manifest: Manifest
) -> None:
    """A person may keep gists elsewhere and link to them."""
    link = file.with_name("link.gist")
    link.symlink_to(file)
    assert load_gist_file(link, adapted, file_hash(adapter))[0] == manifest
