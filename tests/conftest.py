"""Fixtures for every test module. Heavy imports are inside: most tests need no torch."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gist.models.model import LanguageModel
    from tests.support.commands import GistBench


@pytest.fixture
def gist_bench(capsys: pytest.CaptureFixture[str]) -> "GistBench":
    """Return a function that runs a command and returns its exit code, stdout and stderr."""
    from tests.support.commands import run_command

    return partial(run_command, capsys)


@pytest.fixture(scope="session")
def tiny_llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny Llama; tests must not write into it."""
    from tests.support.tiny_models import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny-llama", "llama")


@pytest.fixture(scope="session")
def tiny_qwen3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny Qwen3; tests must not write into it."""
    from tests.support.tiny_models import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny-qwen3", "qwen3")


@pytest.fixture
def tiny_llama(tiny_llama_folder: Path) -> "LanguageModel":
    """The tiny Llama, loaded afresh for each test: adapters change a model in place."""
    from tests.support.tiny_models import load_tiny

    return load_tiny(tiny_llama_folder)


@pytest.fixture
def tiny_qwen3(tiny_qwen3_folder: Path) -> "LanguageModel":
    """The tiny Qwen3, loaded afresh for each test: adapters change a model in place."""
    from tests.support.tiny_models import load_tiny

    return load_tiny(tiny_qwen3_folder)


@pytest.fixture(params=["llama", "qwen3"])
def tiny_model(request: pytest.FixtureRequest) -> "LanguageModel":
    """Either tiny model, in turn."""
    from tests.support.tiny_models import load_tiny

    return load_tiny(request.getfixturevalue(f"tiny_{request.param}_folder"))
