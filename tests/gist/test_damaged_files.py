"""A damaged adapter or model is refused in one line, or it still works; nothing else happens."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gist.adapter import attached
from gist.checkpoint import CARD, CONFIG, WEIGHTS, file_hash, read_card
from gist.decode import ask, read
from gist.models.loading import load_model
from gist.models.model import LanguageModel
from harness.api import PROMPT
from harness.errors import SampleError, UserError
from tests.support.damage import DAMAGES, FUZZ, Damage
from tests.support.tiny_adapter import save_tiny_adapter
from tests.support.tiny_models import load_tiny

MODEL_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
               "model.safetensors")  # fmt: skip
State = tuple[list[str], list[bool], list[str]]


@pytest.fixture(scope="module")
def lm(tiny_llama_folder: Path) -> LanguageModel:
    """A tiny model that every damaged adapter is tried on."""
    return load_tiny(tiny_llama_folder)


@pytest.fixture(scope="module")
def adapter(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good adapter for it."""
    return save_tiny_adapter(lm, tmp_path_factory.mktemp("good") / "adapter")


def state(lm: LanguageModel) -> State:
    """Return what an adapter changes of a model: its modules, what trains, its attributes."""
    modules = [f"{name} {type(each).__name__}" for name, each in lm.model.named_modules()]
    return modules, [each.requires_grad for each in lm.model.parameters()], sorted(vars(lm.model))


def check_one_line(refused: Exception) -> None:
    """A person can read it."""
    assert str(refused).strip()
    assert "\n" not in str(refused)


@settings(FUZZ, max_examples=150)
@given(name=st.sampled_from((CARD, CONFIG, CONFIG, WEIGHTS)), damage=DAMAGES)
def test_a_damaged_adapter_leaves_the_model_as_it_was(
    lm: LanguageModel, adapter: Path, name: str, damage: Damage
) -> None:
    """Whatever part of it is read when it fails."""
    before = state(lm)
    good = (adapter / name).read_bytes()
    try:
        (adapter / name).write_bytes(damage.apply(good))
        with attached(lm, adapter):
            pass
    except UserError as refused:
        check_one_line(refused)
    finally:
        (adapter / name).write_bytes(good)
    assert state(lm) == before


@settings(FUZZ, max_examples=100)
@given(name=st.sampled_from(MODEL_FILES), damage=DAMAGES)
def test_a_damaged_model_is_one_line(
    tiny_qwen3_folder: Path, tmp_path_factory: pytest.TempPathFactory, name: str, damage: Damage
) -> None:
    """Its configuration, tokenizer or weights; one that is loaded answers."""
    folder = tmp_path_factory.mktemp("models") / "damaged"
    shutil.copytree(tiny_qwen3_folder, folder)
    (folder / name).write_bytes(damage.apply((folder / name).read_bytes()))
    try:
        damaged = load_model(str(folder), PROMPT, device="cpu")
        ask(damaged, read(damaged, damaged.prompt.before), [[5, 6, 7]], max_new_tokens=2)
    except (UserError, SampleError) as refused:
        check_one_line(refused)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("content", ["", "{", '{"eos_token_id": ', "[1]"])
def test_damaged_settings_of_generation_are_refused(
    tiny_qwen3_folder: Path, tmp_path: Path, content: str
) -> None:
    """Transformers would go on without them, and answers would not end where they should."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_qwen3_folder, folder)
    (folder / "generation_config.json").write_text(content)
    with pytest.raises(UserError, match=r"generation_config\.json cannot be read") as refused:
        load_model(str(folder), PROMPT, device="cpu")
    check_one_line(refused.value)


@pytest.mark.parametrize("layers", [1, 3])
def test_tensors_that_do_not_fit_are_one_line(
    tiny_qwen3_folder: Path,
    tmp_path: Path,
    layers: int,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Of a configuration with fewer or more layers; Transformers prints a table of them."""
    import json

    folder = tmp_path / "model"
    shutil.copytree(tiny_qwen3_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    assert config["num_hidden_layers"] == 2
    config |= {"num_hidden_layers": layers, "layer_types": ["full_attention"] * layers}
    (folder / "config.json").write_text(json.dumps(config))
    if layers == 1:
        load_model(str(folder), PROMPT, device="cpu")
        assert "tensors that are not used, such as model.layers.1." in caplog.text
    else:
        with pytest.raises(UserError, match=r"lacks .* tensors, such as model\.layers\.2"):
            load_model(str(folder), PROMPT, device="cpu")
    assert "REPORT" not in caplog.text + capfd.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("init_lora_weights", "pissa"), ("layer_replication", [[0, 2], [0, 2]]), ("use_dora", True)],
)
def test_settings_that_change_the_base_model_are_refused(
    lm: LanguageModel, adapter: Path, option: str, value: object
) -> None:
    """PEFT would change the base's weights or layers, and the other backends answer with it."""
    import json

    ids = lm.ids([[5, 6, 7]])
    with torch.inference_mode():
        expected = lm.model(ids).logits
    good = (adapter / CONFIG).read_bytes()
    try:
        (adapter / CONFIG).write_text(json.dumps({**json.loads(good), option: value}))
        with (
            pytest.raises(UserError, match=f"{option}=.* is nothing that train-gist writes"),
            attached(lm, adapter),
        ):
            pass
    finally:
        (adapter / CONFIG).write_bytes(good)
    with torch.inference_mode():
        assert torch.equal(lm.model(ids).logits, expected)


def test_the_folder_that_train_gist_wrote_is_its_adapter(lm: LanguageModel, adapter: Path) -> None:
    """It is named as it was given to --output, or by the folder `adapter` in it."""
    assert read_card(adapter.parent) == read_card(adapter)
    assert file_hash(adapter.parent) == file_hash(adapter)
    with attached(lm, adapter.parent) as card:
        assert card == read_card(adapter)
