"""Models are loaded as they were published, and what cannot be measured is refused in one line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, DynamicCache

from gist.decode import KVState, ask
from gist.models import memory
from gist.models.architecture import check_supported
from gist.models.loading import load_model
from gist.models.model import LanguageModel
from harness.api import PROMPT
from harness.errors import OutOfMemory, UserError
from tests.support.paths import DATA
from tests.support.tiny_models import tiny_tokenizer

STORIES = DATA / "stories260K"


def load(name: Path | str, **options: str | bool) -> LanguageModel:
    """Load with a short prompt, on the CPU unless told otherwise."""
    given = {"device": "cpu", "dtype": None, "load_in_4bit": False, **options}
    return load_model(
        str(name),
        PROMPT,
        device=str(given["device"]),
        dtype=None if given["dtype"] is None else str(given["dtype"]),
        load_in_4bit=bool(given["load_in_4bit"]),
    )


def refusal(name: Path | str, **options: str | bool) -> str:
    """Return the one line with which loading is refused."""
    with pytest.raises(UserError) as caught:
        load(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def folder(tiny_llama_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny Llama that a test may damage."""
    return shutil.copytree(tiny_llama_folder, tmp_path / "model")


def edit_config(folder: Path, **changes: object) -> None:
    """Change keys of config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_weights(folder: Path, name: str, position: int | None) -> None:
    """Change one value of a tensor, or drop the tensor."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    if position is None:
        del tensors[name]
    else:
        tensors[name].view(-1)[position] += 1.0
    save_file(tensors, path, metadata={"format": "pt"})


# What is loaded


def test_a_published_checkpoint_continues_as_published() -> None:
    """Greedy text of stories260K equals what its publisher's own program prints."""
    lm = load(STORIES)
    empty = KVState(DynamicCache(), 0)
    (ids,) = ask(lm, empty, [[lm.prompt.before[0]]], max_new_tokens=220)
    expected = (STORIES / "expected_stdout.txt").read_text().rstrip("\n")
    assert lm.tokenizer.decode(ids)[: len(expected)] == expected
    assert lm.model.num_parameters() == 260_032


def test_every_stated_end_token_ends_an_answer(tiny_llama_folder: Path) -> None:
    """The list of the generation configuration counts, and so does the tokenizer's own."""
    assert load(tiny_llama_folder).end_ids == {1, 2}
    assert load(STORIES).end_ids == {2}


def test_boolean_masks_hide_what_they_should(tiny_model: LanguageModel) -> None:
    """What a boolean mask hides has no influence; the eager implementation would not hide it."""
    ids = torch.tensor([[40, 50, 60, 70]])
    other = torch.tensor([[41, 50, 60, 70]])
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    mask[1:, 0] = False
    positions = torch.arange(4)[None]
    with torch.inference_mode():
        seen = [
            tiny_model.model(row, attention_mask=mask[None, None], position_ids=positions).logits
            for row in (ids, other)
        ]
    assert torch.equal(seen[0][:, 1:], seen[1][:, 1:])
    assert not torch.equal(seen[0][:, 0], seen[1][:, 0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_the_chosen_dtype_is_the_model_s(tiny_llama_folder: Path, dtype: str) -> None:
    """Weights and the description agree with --dtype; without it a CPU computes in float32."""
    lm = load(tiny_llama_folder, dtype=dtype)
    assert {str(each.dtype) for each in lm.model.parameters()} == {f"torch.{dtype}"}
    assert lm.describe()["dtype"] == dtype
    assert load(tiny_llama_folder).describe()["dtype"] == "float32"


def test_a_folder_of_the_hub_s_cache_gives_its_revision(
    tiny_llama_folder: Path, tmp_path: Path
) -> None:
    """A downloaded model is recorded with its commit, any other folder with none."""
    cached = shutil.copytree(tiny_llama_folder, tmp_path / "snapshots" / "0123abcd")
    assert load(cached).describe()["revision"] == "0123abcd"
    assert load(tiny_llama_folder).describe()["revision"] is None
    assert load(cached).fingerprint == load(tiny_llama_folder).fingerprint


# 4 bits


def test_4_bit_answers_stay_near_the_full_ones() -> None:
    """Quantised logits of a trained model follow those of full precision, and are not the same."""
    ids = torch.tensor([load(STORIES).tokenizer.encode("Once upon a time, there was a little")])
    with torch.inference_mode():
        full = load(STORIES).model(ids).logits.flatten()
        four = load(STORIES, load_in_4bit=True).model(ids).logits.float().flatten()
    agreement = torch.corrcoef(torch.stack([full, four]))[0, 1]
    assert 0.9 < agreement < 0.99999


def test_weights_stored_in_4_bits_are_read_as_such(folder: Path, tmp_path: Path) -> None:
    """They load with --load-in-4bit only, and other quantised storage is refused by its name."""
    lm = load(folder, load_in_4bit=True)
    stored = shutil.copytree(folder, tmp_path / "stored")
    lm.model.save_pretrained(stored)
    assert "Add --load-in-4bit" in refusal(stored)
    ids = torch.arange(10, 60)[None]
    with torch.inference_mode():
        again = load(stored, load_in_4bit=True).model(ids).logits
        assert torch.equal(again, lm.model(ids).logits)
    edit_config(folder, quantization_config={"quant_method": "gptq", "bits": 4})
    assert "(gptq)" in refusal(folder, load_in_4bit=True)


def test_4_bits_without_bitsandbytes_say_how_to_get_it(
    tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing package is one line with the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    assert "pip install bitsandbytes" in refusal(tiny_llama_folder, load_in_4bit=True)


def test_4_bits_refuse_a_dtype_they_cannot_compute_in(tiny_llama_folder: Path) -> None:
    """The message lists the dtypes that work."""
    message = refusal(tiny_llama_folder, load_in_4bit=True, dtype="float64")
    assert "float64" in message
    assert "bfloat16" in message


# The fingerprint


def test_the_fingerprint_is_of_the_files_not_of_how_they_are_loaded(
    tiny_llama_folder: Path, folder: Path
) -> None:
    """A copy, another dtype, 4 bits or a newer library leave it as it is."""
    expected = load(tiny_llama_folder).fingerprint
    edit_config(folder, transformers_version="9.9", use_cache=False)
    assert load(folder).fingerprint == expected
    assert load(folder, dtype="bfloat16").fingerprint == expected
    assert load(folder, load_in_4bit=True).fingerprint == expected


@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.1.mlp.down_proj.weight"])
def test_a_changed_weight_changes_the_fingerprint(folder: Path, name: str) -> None:
    """One value of one tensor is enough, if it is among the sampled ones."""
    before = load(folder).fingerprint
    edit_weights(folder, name, position=0)
    assert load(folder).fingerprint != before


def test_a_changed_configuration_changes_the_fingerprint(folder: Path) -> None:
    """The same weights under another rotary base are another model."""
    before = load(folder).fingerprint
    edit_config(folder, rope_parameters={"rope_type": "default", "rope_theta": 777.0})
    assert load(folder).fingerprint != before


# What is refused: architectures


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model_type": "mistral", "sliding_window": 64}, "sliding window of 64 tokens"),
        ({"model_type": "gemma2", "sliding_window": 32}, "sliding window of 32 tokens"),
        ({"model_type": "mamba"}, "cache is not plain"),
        ({"model_type": "jamba"}, "cache is not plain"),
        ({"model_type": "t5"}, "encoder-decoder"),
        ({"model_type": "vit"}, "not a causal language model"),
        ({"model_type": "deepseek_v3"}, "latent attention"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
        ({"model_type": "bloom"}, "max_position_embeddings"),
    ],
)
def test_models_that_cannot_be_measured_are_refused_by_type(
    tmp_path: Path, settings: dict[str, object], reason: str
) -> None:
    """The line has the type of the model, the reason, and what is allowed instead."""
    (tmp_path / "config.json").write_text(json.dumps(settings))
    message = refusal(tmp_path)
    assert repr(settings["model_type"]) in message
    assert reason in message
    assert "Allowed: decoders with full attention" in message


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": False},
        {"model_type": "mistral", "sliding_window": None},
        {"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "own.Model"}},
        {"model_type": "gpt_neox"},
    ],
)
def test_plain_attention_is_accepted(settings: dict[str, object]) -> None:
    """A window that is stated and not used, or code that is not needed, is no obstacle."""
    check_supported(AutoConfig.for_model(**settings), "a model")


def test_code_in_a_folder_is_never_run(tmp_path: Path) -> None:
    """A model that needs its own code is refused, and the code is not imported."""
    trace = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"open({str(trace)!r}, 'w')\n")
    settings = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert "config.json" in refusal(tmp_path)
    assert not trace.exists()


# What is refused: folders and names


def test_pickled_weights_are_refused_and_not_opened(folder: Path) -> None:
    """A folder with pickles alone is refused, with the way to convert them."""
    (folder / "model.safetensors").unlink()
    assert "no weights" in refusal(folder)
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    message = refusal(folder)
    assert "pytorch_model.bin" in message
    assert "never loaded" in message


def test_a_folder_that_is_no_model_says_what_a_model_has(folder: Path, tmp_path: Path) -> None:
    """Without config.json, without a tokenizer, an adapter: each has its own line."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no config.json" in refusal(empty)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "no usable tokenizer" in refusal(folder)
    (folder / "adapter_config.json").write_text("{}")
    assert "is an adapter" in refusal(folder)
    assert "is a file" in refusal(folder / "config.json")


def test_a_broken_configuration_is_named(folder: Path) -> None:
    """Bad JSON, a wrong type, an unknown model: the line has the path of config.json."""
    edit_config(folder, hidden_size="wide")
    assert "config.json" in refusal(folder)
    edit_config(folder, model_type="banana")
    assert "banana" in refusal(folder)
    (folder / "config.json").write_text("{")
    assert "config.json" in refusal(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_attention_heads": -4},
        {"num_attention_heads": 5},
        {"num_key_value_heads": 3},
        {"head_dim": 7},
        {"hidden_size": 33},
        {"hidden_act": "banana"},
        {"rms_norm_eps": -2.5},
        {"rope_parameters": {"rope_type": "banana", "rope_theta": 1e4}},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": -1.0}},
        {"output_hidden_states": "x"},
        {"return_dict": False},
    ],
    ids=str,
)
def test_values_that_fail_only_in_computing_are_refused_when_loading(
    folder: Path, changes: dict[str, object]
) -> None:
    """Whatever the values are of: a token is computed before a run begins."""
    edit_config(folder, **changes)
    assert "config.json" in refusal(folder) or str(folder) in refusal(folder)


def test_incomplete_weights_are_refused(folder: Path) -> None:
    """A missing tensor would be filled with random numbers; a torn file or shard is named."""
    edit_weights(folder, "model.layers.0.self_attn.q_proj.weight", position=None)
    assert "lacks 1 of its model's tensors" in refusal(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert "cannot load" in refusal(folder)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-00001-of-00002.safetensors" in refusal(folder)


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    """A configuration that the tensors do not fit is one line, not a traceback."""
    edit_config(folder, intermediate_size=64)
    assert "cannot load" in refusal(folder)


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    """Ids without an embedding would end in an index error at the first document."""
    tensors = load_file(folder / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = tensors[name][:100].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    edit_config(folder, vocab_size=100)
    size = tiny_tokenizer(chat=False).vocab_size
    assert f"ids up to {size - 1}, its model has 100 embeddings" in refusal(folder)


def test_a_name_that_is_nowhere_says_what_a_name_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing folder and a hub that cannot be reached each say what to use instead."""
    assert "no folder" in refusal(tmp_path / "nothing")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = refusal("nobody/no-such-model")
    assert "the hub cannot be reached" in message
    assert "--model reference" in message


def test_weights_beyond_the_memory_are_refused_with_figures(
    tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is needed and what is free stand in the line, and nothing is loaded."""
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)
    with pytest.raises(OutOfMemory, match=r"weights as float32\) needs \d\.\d+ GiB on cpu"):
        load(tiny_llama_folder)


@pytest.mark.parametrize("device", ["banana", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_refused(tiny_llama_folder: Path, device: str) -> None:
    """The line has the given device and those of this machine."""
    message = refusal(tiny_llama_folder, device=device)
    assert repr(device) in message
    assert "Devices: cpu" in message


def test_an_unknown_dtype_lists_the_known_ones(tiny_llama_folder: Path) -> None:
    """The line has the given dtype and what is allowed."""
    message = refusal(tiny_llama_folder, dtype="fp8")
    assert "'fp8'" in message
    assert "bfloat16" in message


# Where an answer ends


@pytest.mark.parametrize(("stated", "notices"), [([0], 1), ([0, 1], 0)])
def test_an_answer_ends_where_the_chat_template_ends_a_turn(
    tiny_qwen3_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    stated: list[int],
    notices: int,
) -> None:
    """Also where the configurations name another token, which is then said in one line."""
    folder = shutil.copytree(tiny_qwen3_folder, tmp_path / "model")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stated}))
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"eos_token": "<|begin|>"}))
    with caplog.at_level("WARNING", "gist"):
        assert load(folder).end_ids == {0, 1}  # <|begin|> as stated, <|end|> of the template
    assert len(caplog.records) == notices
    assert all("<|end|>" in record.message for record in caplog.records)
