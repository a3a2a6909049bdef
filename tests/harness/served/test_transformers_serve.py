"""A served model behind a real server: `transformers serve` with a tiny model in a folder.

What it shows besides the stub: a list of models that fails where no hub's cache is, whole and
streamed replies, and counts of tokens, by code that is not ours.
"""

import csv
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from harness.run import plugins
from tests.support.commands import GistBench
from tests.support.tiny_models import save_tiny_model, tiny_tokenizer

START = "from transformers.cli.transformers import main; main()"
SUITES = ("passkey,tokens=256,depths=0.5", "qa,documents=1,people=1,facts=1,filler=1,questions=3")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The folder of a tiny model with a chat template, and the address of its server."""
    pytest.importorskip("fastapi", reason="pip install 'gist-bench[serving]'")
    pytest.importorskip("openai", reason="pip install 'gist-bench[serving]'")
    folder = save_tiny_model(tmp_path_factory.mktemp("served") / "tiny", "llama")
    tiny_tokenizer(chat=True).save_pretrained(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ("serve", str(folder), "--host", "127.0.0.1", "--port", str(port))
    of_cpu = ("--device", "cpu", "--dtype", "float32")
    log = folder.with_name("server.log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *words, *of_cpu], stdout=output, stderr=output
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield folder, f"http://127.0.0.1:{port}/v1#{folder}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server answers; it takes as long as importing torch."""
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urlopen(address, timeout=10):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def rows_of(out: Path) -> list[dict[str, str]]:
    """Return the rows of the one run in a folder."""
    (file,) = out.glob("*/records.csv")
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_the_server_answers_as_the_model_in_its_folder(
    served: tuple[Path, str], gist_bench: GistBench, tmp_path: Path
) -> None:
    """Word for word, from as many tokens, cut alike: the prompt is the same, and so is the end."""
    folder, address = served
    words = [word for suite in SUITES for word in ("--suite", suite)]
    here = [*words, "--backend", "full", "--backend", "closed_book"]
    ways = [word for name in plugins.names(plugins.SERVED) for word in ("--backend", name)]
    there = [*words, *ways, "--tokenizer", folder]
    for name, model, given in (("here", folder, here), ("there", address, there)):
        done = gist_bench("run", "--model", model, *given, "--out", tmp_path / name)
        assert done.code == 0, done.err
    of_server = rows_of(tmp_path / "there")
    assert {row["backend"] for row in of_server} == {*plugins.names(plugins.SERVED)}
    assert not any(row["error"] for row in of_server)
    assert {row["held_bytes"] for row in of_server} == {""}
    same = ("answer", "prompt_tokens", "new_tokens", "cut", "context_tokens")
    key = ("suite", "backend", "sample_id", "question_id")
    found = {tuple(row[name] for name in key): row for row in of_server}
    for row in rows_of(tmp_path / "here"):
        twin = found[tuple(row[name] for name in key)]
        assert [twin[name] for name in same] == [row[name] for name in same]


def test_streamed_requests_have_a_time_to_the_first_token(
    served: tuple[Path, str], gist_bench: GistBench, tmp_path: Path
) -> None:
    """In throughput, wherever text came; a token may be a part of a letter, and no text."""
    folder, address = served
    done = gist_bench(
        "run", "--model", address, "--tokenizer", folder, "--suite", "throughput,tokens=128",
        "--backend", "full", "--out", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    rows = rows_of(tmp_path)
    said = [row for row in rows if row["answer"]]
    assert said
    assert all(0 < float(row["first_token_s"]) <= float(row["generate_s"]) for row in said)
    assert {row["new_tokens"] for row in rows} >= {"1"}
