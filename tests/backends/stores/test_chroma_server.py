"""A gist store whose vectors are in a ChromaDB server, which several machines may ask."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from backends.stores import passages
from backends.stores.passages import Passages
from backends.stores.store import Store
from gist.models.model import LanguageModel
from harness.api import Source
from harness.errors import UserError
from tests.backends.stores.test_store import SOURCES, source, updated
from tests.support.tiny_adapter import save_tiny_adapter
from tests.support.tiny_embedder import LetterEmbedder

pytestmark = pytest.mark.slow
RUN = "import sys; from chromadb.cli.cli import app; sys.exit(app())"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of ChromaDB's own, on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    words = ["run", "--host", "127.0.0.1", "--port", str(port), "--path", str(folder)]
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"ANONYMIZED_TELEMETRY": "False"},
    ) as started:
        address = f"http://127.0.0.1:{port}"
        try:
            if not _answers(address, started):
                pytest.skip("chroma run does not start on this machine")
            yield address
        finally:
            started.kill()


def _answers(address: str, started: subprocess.Popen[bytes]) -> bool:
    for _ in range(240):
        if started.poll() is not None:
            return False
        try:
            return httpx.get(f"{address}/api/v2/heartbeat", timeout=5).status_code == 200
        except httpx.TransportError:
            time.sleep(0.25)
    return False


@pytest.fixture
def adapter(tiny_llama: LanguageModel, tmp_path: Path) -> Path:
    """An adapter for the tiny model."""
    return save_tiny_adapter(tiny_llama, tmp_path / "adapter")


def test_stores_share_a_server(
    tiny_llama: LanguageModel,
    adapter: Path,
    tmp_path: Path,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each finds its own documents, brings them up to date, and is found again by the address.

    What the folder says is enough: whoever opens the store need not know of the server.
    """
    monkeypatch.setattr(passages, "open_embedder", lambda *_: (LetterEmbedder(), ""))

    def opened(name: str, chroma: str | None = None) -> closing[Store]:
        folder = tmp_path / name
        return closing(Store(tiny_llama, folder, checkpoint=adapter, tokens=6, chroma=chroma))

    def update(name: str, sources: list[Source], chroma: str | None = None) -> dict[str, str]:
        with opened(name, chroma) as store:
            return updated(store, sources)

    def ask(name: str, question: str) -> str:
        with opened(name) as store:
            return store.ask(question, max_new_tokens=1).document

    update("first", SOURCES, server)
    update("second", SOURCES[2:], server)
    assert not (tmp_path / "first/documents/chroma").exists()
    assert ask("first", "Who keeps bees?") == "bees.txt"
    assert ask("second", "Who keeps bees?") == "zinc.txt"
    other = source("bees.txt", "Ben keeps ants in a jar, and feeds them honey at night.")
    changed = update("first", [other, SOURCES[2]])
    assert changed == {"bees.txt": "changed", "zinc.txt": "unchanged", "ferry/times.txt": "removed"}
    assert ask("first", "Who keeps ants?") == "bees.txt"
    with opened("second") as store:
        assert updated(store, [], force=True) == {}
    assert set(update("first", [other, SOURCES[2]]).values()) == {"unchanged"}
    update("third", SOURCES)
    with pytest.raises(UserError, match="vectors in a folder"):
        update("third", SOURCES, server)
    with opened("third", server) as store:
        assert set(updated(store, SOURCES, force=True).values()) == {"added"}


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:8000", "ftp://here", "http:"])
def test_no_server_is_said_in_one_line(tmp_path: Path, address: str) -> None:
    """It names the address and how a server is started."""
    with pytest.raises(UserError, match="chroma run") as refused:
        Passages(tmp_path, "minilm", server=address)
    assert address in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_search_by_words_has_no_server(tmp_path: Path) -> None:
    """BM25 has no vectors to keep there."""
    with pytest.raises(UserError, match="bm25 has none"):
        Passages(tmp_path, "bm25", server="http://127.0.0.1:9")
