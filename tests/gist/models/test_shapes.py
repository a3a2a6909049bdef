"""Bare architectures: the published sizes, random weights, and no allocation where none fits."""

import json
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit

from backends.closed_book import ClosedBook
from backends.full import Full
from backends.gist import Gist
from backends.rag import Rag
from backends.truncate import Truncate
from gist.decode import ask, read
from gist.models import fit, memory, shapes
from gist.models.loading import load_model
from gist.models.model import LanguageModel
from harness.api import PROMPT
from harness.errors import OutOfMemory, UserError
from tests.support.tiny_models import stored_bytes


def load_shape(folder: Path, *, load_in_4bit: bool = False) -> LanguageModel:
    """Load the shape of a tiny model, with the tokenizer beside its config.json."""
    return load_model(
        f"shape:{folder / 'config.json'}",
        PROMPT,
        device="cpu",
        load_in_4bit=load_in_4bit,
    )


@pytest.mark.parametrize(
    ("name", "parameters", "kv_bytes"),
    [
        ("llama-3-8b", 8_030_261_248, 131_072),
        ("llama-3.2-1b", 1_235_814_400, 32_768),
        ("llama-3.2-3b", 3_212_749_824, 114_688),
        ("qwen3-0.6b", 596_049_920, 114_688),
    ],
)
def test_shapes_have_the_published_sizes(name: str, parameters: int, kv_bytes: int) -> None:
    """Each shape counts the parameters its publisher states, and 2 x layers x heads x dim x 2."""
    config = shapes.shape_config(f"shape:{name}")
    assert fit.skeleton(config).num_parameters() == parameters
    assert fit.kv_bytes_per_entry(config, torch.bfloat16) == kv_bytes


@pytest.mark.parametrize("in_4bit", [False, True])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_a_random_model_is_the_architecture_it_stands_for(
    kind: str, in_4bit: bool, request: pytest.FixtureRequest
) -> None:
    """It has the parameters, the bytes and the layers of the real one, and it answers."""
    folder: Path = request.getfixturevalue(f"tiny_{kind}_folder")
    lm = load_shape(folder, load_in_4bit=in_4bit)
    assert lm.random_weights
    skeleton = fit.skeleton(lm.model.config)
    assert lm.model.num_parameters() == skeleton.num_parameters()
    assert stored_bytes(lm.model) == fit.weights_bytes(lm.model.config, lm.model.dtype, in_4bit)
    layers = [module for module in lm.model.modules() if isinstance(module, Linear4bit)]
    assert len(layers) == (len(fit.quantised_layers(skeleton)) if in_4bit else 0)
    state = read(lm, list(lm.prompt.before))
    (answer,) = ask(lm, state, [[5, 6, 7]], max_new_tokens=4, min_new_tokens=4)
    assert len(answer) == 4


def test_random_rows_differ(tiny_llama_folder: Path) -> None:
    """No two rows of a matrix are alike, or attention and logits would be degenerate."""
    lm = load_shape(tiny_llama_folder)
    for parameter in lm.model.parameters():
        if parameter.dim() == 2:
            assert len(torch.unique(parameter, dim=0)) == len(parameter)


def test_positions_are_raised_and_recorded(tiny_llama_folder: Path) -> None:
    """A sweep may go beyond the published positions, and the run says so."""
    lm = load_shape(tiny_llama_folder)
    assert lm.max_positions == shapes.POSITIONS
    assert lm.describe()["positions_raised_from"] == 2048


def test_positions_that_the_frequencies_depend_on_stay(tmp_path: Path) -> None:
    """Dynamic rotary embeddings change with the number of positions, so it is left alone."""
    settings = {
        "model_type": "llama",
        "max_position_embeddings": 64,
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(settings))
    config = shapes.shape_config(f"shape:{path}")
    assert not shapes.raise_positions(config)
    assert config.max_position_embeddings == 64


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any memory left."""
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)


@pytest.mark.usefixtures("no_memory")
def test_a_shape_that_does_not_fit_allocates_nothing_and_refuses_every_request(
    tiny_llama_folder: Path,
) -> None:
    """Its weights stay on the meta device; each request says how much they would need."""
    lm = load_shape(tiny_llama_folder)
    assert {parameter.device.type for parameter in lm.model.parameters()} == {"meta"}
    assert lm.device == "meta"
    with pytest.raises(OutOfMemory, match=r"\(weights\) needs .* GiB"):
        read(lm, [5, 6, 7])
    assert lm.describe()["weights_fit"] is False


def test_the_fingerprint_of_a_shape_is_that_of_its_configuration(
    tiny_llama_folder: Path, tiny_qwen3_folder: Path
) -> None:
    """Another architecture has another fingerprint; quantisation and raised positions have not."""
    shape = load_shape(tiny_llama_folder).fingerprint
    assert load_shape(tiny_llama_folder, load_in_4bit=True).fingerprint == shape
    assert load_shape(tiny_qwen3_folder).fingerprint != shape


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read as a shape: .*No such file"),
        ("{", "cannot be read as a shape: Expecting property name"),
        ("[1]", "no model_type"),
        ('{"model_type": "banana"}', "Unrecognized model"),
        ('{"model_type": "llama", "hidden_size": "wide"}', "expected int"),
        ('{"model_type": "mistral", "sliding_window": 64}', "sliding window of 64"),
    ],
)
def test_a_file_that_is_no_shape_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    """A missing, broken or unsupported configuration is one line that names the file."""
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        shapes.shape_config(f"shape:{path}")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_unknown_shape_lists_the_known_ones() -> None:
    """The message names what was given and what is allowed."""
    with pytest.raises(UserError, match=r"unknown shape 'llama-9'. Shapes: llama-3-8b, .*PATH"):
        shapes.shape_config("shape:llama-9")


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize(
    ("backend", "options"),
    [
        (Full, {}),
        (Rag, {"embedder": "bm25"}),
        (Gist, {"untrained": True, "ratio": 4.0}),
        (ClosedBook, {}),
        (Truncate, {}),
    ],
)
def test_every_backend_turns_a_shape_that_does_not_fit_into_a_row(
    backend: type, options: dict[str, object], tiny_llama_folder: Path
) -> None:
    """Building a backend works, and each of its samples is out of memory: no crash, no numbers."""
    built = backend(load_shape(tiny_llama_folder), **options)
    try:
        with pytest.raises(OutOfMemory, match="weights"):
            built.prepare("Ada lives in Turin. " * 8)
    finally:
        built.close()


@pytest.mark.parametrize("in_4bit", [False, True])
@pytest.mark.parametrize(
    ("backend", "options"), [(Full, {}), (Gist, {"untrained": True, "ratio": 4.0})]
)
def test_costs_of_a_shape_can_be_measured(
    backend: type, options: dict[str, object], in_4bit: bool, tiny_qwen3_folder: Path
) -> None:
    """Full context and an untrained gist adapter answer on random weights, in 4 bits too."""
    built = backend(load_shape(tiny_qwen3_folder, load_in_4bit=in_4bit), **options)
    context = built.prepare("Ada lives in Turin. " * 8)
    (answer,) = context.generate(["Where?"], max_new_tokens=3, min_new_tokens=3)
    assert answer.new_tokens == 3
    assert context.held_bytes > 0
    context.close()
    built.close()
