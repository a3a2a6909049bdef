"""What a model needs is computed as it is allocated, and what is free as the kernel sees it."""

from pathlib import Path

import pytest
import torch
from transformers import DynamicCache, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig

from gist.decode import read
from gist.models import fit, memory
from gist.models.loading import load_model
from gist.models.model import LanguageModel
from gist.models.shapes import build_random
from harness.api import PROMPT
from harness.errors import OutOfMemory
from tests.support.allocations import peak_allocated_bytes
from tests.support.tiny_models import SHAPE, stored_bytes, tiny_config


@pytest.mark.parametrize("in_4bit", [False, True])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_computed_weights_are_what_loading_stores(
    kind: str, in_4bit: bool, request: pytest.FixtureRequest
) -> None:
    """The bytes computed from a configuration are those of the loaded parameters, to the byte."""
    folder: Path = request.getfixturevalue(f"tiny_{kind}_folder")
    lm = load_model(str(folder), PROMPT, dtype="bfloat16", load_in_4bit=in_4bit)
    computed = fit.weights_bytes(tiny_config(kind), torch.bfloat16, in_4bit)
    assert computed == stored_bytes(lm.model)


def test_parameters_of_other_architectures_are_counted_too() -> None:
    """Biases, fused projections and a missing number of key heads change nothing in exactness."""
    config = GPTNeoXConfig(
        vocab_size=100,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
    )
    assert fit.skeleton(config).num_parameters() == GPTNeoXForCausalLM(config).num_parameters()
    assert fit.kv_bytes_per_entry(config, torch.float32) == 2 * 2 * 4 * 4 * 4


def test_computed_entries_are_what_a_state_holds(tiny_model: LanguageModel) -> None:
    """Bytes per KV entry times entries equals the storage behind a state that was read."""
    state = read(tiny_model, list(range(10, 47)))
    per_entry = fit.kv_bytes_per_entry(tiny_model.model.config, tiny_model.model.dtype)
    assert per_entry == 2 * SHAPE["num_hidden_layers"] * SHAPE["num_key_value_heads"] * 8 * 4
    assert state.held_bytes == 37 * per_entry


def test_a_request_needs_its_new_entries_and_its_pass() -> None:
    """Held entries cost nothing again; more tokens, rows or cache before them cost more."""
    config = tiny_config("llama")
    one = {"new_entries": 100, "new_tokens": 50, "past_entries": 50, "batch": 1}
    base = fit.request_bytes(config, torch.float32, **one)
    entry = fit.kv_bytes_per_entry(config, torch.float32)
    fewer = fit.request_bytes(config, torch.float32, **{**one, "new_entries": 40})
    assert base - fewer == 60 * entry
    for larger in ({"new_tokens": 60}, {"past_entries": 90}, {"batch": 2}):
        assert fit.request_bytes(config, torch.float32, **{**one, **larger}) > base


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("new_tokens", [64, 512])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("vocabulary", [2_000, 16_000])
def test_a_small_request_allocates_no_more_than_computed(
    vocabulary: int, batch: int, new_tokens: int, dtype: torch.dtype
) -> None:
    """Within a tenth, with small and large heads: half precision copies the head on a CPU."""
    sizes = {
        "hidden_size": 256,
        "intermediate_size": 768,
        "head_dim": 64,
        "vocab_size": vocabulary,
    }
    config = LlamaConfig(**(SHAPE | sizes))
    model, _ = build_random(
        config, name="small", device=torch.device("cpu"), dtype=dtype, in_4bit=False
    )
    ids = torch.ones(batch, new_tokens, dtype=torch.long)

    @torch.inference_mode()
    def request() -> object:
        return model(ids, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1)

    measured = peak_allocated_bytes(request)
    computed = fit.request_bytes(
        config,
        dtype,
        new_entries=batch * new_tokens,
        new_tokens=new_tokens,
        past_entries=0,
        batch=batch,
        on_cpu=True,
    )
    assert 0.9 < computed / measured < 2.1


def test_a_request_that_does_not_fit_is_refused_before_it_allocates(
    tiny_llama: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request beyond the free memory raises with both figures; a smaller one passes."""
    monkeypatch.setattr(memory, "free_bytes", lambda _: 2**30)
    one = {"new_tokens": 1, "batch": 1}
    tiny_llama.reserve(2000, entries=200_000, **one)
    with pytest.raises(OutOfMemory, match=r"needs \d+\.\d+ GiB on cpu, where 0\.90 GiB"):
        tiny_llama.reserve(2000, entries=2_000_000, **one)
    tiny_llama.reserve(2000, entries=2_000_000, held_entries=2_000_000, **one)


def write_group(folder: Path, **files: str) -> None:
    """Make a cgroup with the given files; `__` in a name stands for a dot."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_the_tightest_group_of_version_2_counts(tmp_path: Path) -> None:
    """Limits of the groups above count as well, and file cache counts as free."""
    own = tmp_path / "own"
    own.write_text("0::/shop/till\n")
    write_group(
        tmp_path / "shop",
        memory__max="1000\n",
        memory__current="700\n",
        memory__stat="anon 400\ninactive_file 250\n",
    )
    write_group(
        tmp_path / "shop" / "till",
        memory__max="5000",
        memory__current="100",
        memory__stat="inactive_file 0",
    )
    assert memory.cgroup_limit_bytes(tmp_path, own) == 1000
    assert memory.cgroup_free_bytes(tmp_path, own) == 1000 - (700 - 250)


def test_a_container_that_sees_its_own_group_as_root_is_read(tmp_path: Path) -> None:
    """The path that the kernel names may be the host's; the files are then at the top."""
    own = tmp_path / "own"
    own.write_text("12:cpu,cpuacct:/docker/abc\n7:memory:/docker/abc\n0::/\n")
    write_group(
        tmp_path / "memory",
        memory__limit_in_bytes="4096",
        memory__usage_in_bytes="4500",
        memory__stat="cache 1\ntotal_inactive_file 0",
    )
    assert memory.cgroup_limit_bytes(tmp_path, own) == 4096
    assert memory.cgroup_free_bytes(tmp_path, own) == 0


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_a_group_without_a_limit_leaves_the_memory_free(tmp_path: Path, limit: str) -> None:
    """Both spellings of "no limit" are understood, and so is a system without cgroups."""
    own = tmp_path / "own"
    own.write_text("4:memory:/\n0::/\n")
    write_group(tmp_path / "memory", memory__limit_in_bytes=limit)
    (tmp_path / "memory.max").write_text(limit)
    assert memory.cgroup_limit_bytes(tmp_path, own) is None
    assert memory.cgroup_free_bytes(tmp_path, tmp_path / "nothing") is None


@pytest.mark.gpu
def test_free_memory_of_a_gpu_counts_the_allocators_spare() -> None:
    """What this process gave back to its allocator counts as free."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    before = memory.free_bytes("cuda")
    kept = torch.empty(2**26, dtype=torch.uint8, device="cuda")
    held = memory.free_bytes("cuda")
    del kept
    assert held <= before - 2**26
    assert memory.free_bytes("cuda") >= held + 2**26
