"""The device of the tests that need a GPU; `GIST_BENCH_TINY=1` runs them on a CPU instead."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gist.models.model import LanguageModel


@pytest.fixture(scope="session")
def device() -> str:
    """The name of the device that is tested."""
    import torch

    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = False  # float32 is to mean float32
        return "cuda"
    if os.environ.get("GIST_BENCH_TINY") == "1":
        return "cpu"
    pytest.skip("needs a CUDA device")


@pytest.fixture(scope="module", params=["float32", "bfloat16", "nf4"])
def lm(request: pytest.FixtureRequest, device: str, tiny_llama_folder: Path) -> "LanguageModel":
    """The tiny Llama on the device, in each precision."""
    from gist.models.loading import load_model
    from harness.api import PROMPT

    name, in_4bit = str(tiny_llama_folder), request.param == "nf4"
    if in_4bit:
        pytest.importorskip("bitsandbytes")
        return load_model(name, PROMPT, device=device, load_in_4bit=True)
    return load_model(name, PROMPT, device=device, dtype=request.param)
