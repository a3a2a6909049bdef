"""`gist-bench compress` and `gist-bench ask`, as they are typed."""

import builtins
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gist.gistheader import read_manifest
from gist.models.model import LanguageModel
from gist.models.prompt import render_prompt
from harness.api import prompt_with
from tests.support.commands import Done, GistBench
from tests.support.tiny_adapter import save_tiny_adapter
from tests.support.tiny_models import load_tiny

TEXT = "Ann keeps bees in a valley. Her neighbour has never liked them much. The rent is 7."


class Terminal(io.StringIO):
    """Text that comes from a person."""

    def isatty(self) -> bool:
        """Say that a person types."""
        return True


@pytest.fixture(scope="module")
def adapter(tiny_qwen3_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter for the tiny model."""
    folder = tmp_path_factory.mktemp("adapter")
    return save_tiny_adapter(load_tiny(tiny_qwen3_folder), folder)


@pytest.fixture
def compress(gist_bench: GistBench, tiny_qwen3_folder: Path, adapter: Path) -> GistBench:
    """Return a function that compresses with the tiny model."""

    def compress(*arguments: object) -> Done:
        made_with = ("--model", tiny_qwen3_folder, "--checkpoint", adapter, "--device", "cpu")
        return gist_bench("compress", *arguments, *made_with)

    return compress


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A document."""
    path = tmp_path / "doc.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def gist(text: Path, compress: GistBench) -> Path:
    """Its gist file."""
    path = text.with_suffix(".gist")
    code, _, err = compress(text, "-o", path, "--tokens", 8)
    assert (code, err) == (0, "")
    return path


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of documents."""
    folder = tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "bees.md").write_text("# Bees\n\nAnn keeps bees in a valley.")
    (folder / "sub" / "ferry.txt").write_text("The ferry leaves at noon, said the harbour master.")
    return folder


def test_a_file_knows_how_it_was_made(
    gist: Path, gist_bench: GistBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any folder, the file alone finds its model and adapter, and answers."""
    monkeypatch.chdir(gist.parent.parent)
    manifest = read_manifest(gist)
    assert (manifest.source, manifest.source_bytes, manifest.gists) == ("doc.txt", len(TEXT), 8)
    code, out, err = gist_bench("ask", gist, "Who keeps bees?", "--max-new-tokens", 5)
    assert (code, err) == (0, "")
    assert out.endswith("\n")


def test_a_file_is_asked_with_the_worked_examples_of_its_adapter(
    text: Path, tiny_qwen3: LanguageModel, tmp_path: Path, gist_bench: GistBench
) -> None:
    """Compressing wants them by --shots, asking finds them in the adapter's card."""
    tiny_qwen3.prompt = render_prompt(tiny_qwen3.tokenizer.inner, prompt_with(2))
    adapter = save_tiny_adapter(tiny_qwen3, tmp_path / "adapter")
    path = text.with_suffix(".gist")
    given = (text, "-o", path, "--tokens", 8, "--checkpoint", adapter)
    arguments = ("compress", *given, "--model", tiny_qwen3.name, "--device", "cpu")
    code, _, err = gist_bench(*arguments)
    assert (code, "Add --shots 2." in err, path.exists()) == (2, True, False)
    assert gist_bench(*arguments, "--shots", 2).code == 0
    assert read_manifest(path).prefix_entries == len(tiny_qwen3.prompt.before)
    code, _, err = gist_bench("ask", path, "Who keeps bees?", "--max-new-tokens", 5)
    assert (code, err) == (0, "")


def test_questions_are_read_from_stdin(
    gist: Path, gist_bench: GistBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line is answered as it is alone; empty lines are passed over."""
    alone = [
        gist_bench("ask", gist, question, "--max-new-tokens", 5)[1]
        for question in ("Who?", "Rent?")
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("Who?\n\n  Rent?\n"))
    code, out, err = gist_bench("ask", gist, "--max-new-tokens", 5)
    assert (code, out, err) == (0, "".join(alone), "")


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_typed_questions_end_cleanly(
    gist: Path, gist_bench: GistBench, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    """With a prompt for each question, until Ctrl-D or Ctrl-C; a bad one does not end it."""
    typed = iter(["Who?", "", "Who? " * 900, "Rent?"])

    def answer(_: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise end from None

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(builtins, "input", answer)
    code, out, err = gist_bench("ask", gist, "--max-new-tokens", 5)
    assert code == 0
    assert out.count("\n") >= 2
    assert "positions" in err
    assert "Traceback" not in err


def test_nothing_is_overwritten_unasked(gist: Path, text: Path, compress: GistBench) -> None:
    """A file that is there stays, unless --force is given."""
    before = gist.read_bytes()
    code, out, err = compress(text, "-o", gist)
    assert (code, out) == (2, "")
    assert "--force" in err
    assert gist.read_bytes() == before
    assert compress(text, "-o", gist, "--force", "--ratio", 4)[0] == 0
    assert read_manifest(gist).options == "ratio=4"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.txt", "-o", "x.gist"], "missing.txt"),
        (["doc.txt", "-o", "nowhere/x.gist"], "no folder"),
        (["doc.txt", "-o", "."], "is a folder"),
        (["doc.txt", "-o", "x.gist", "--tokens", "4", "--ratio", "4"], "give one of them"),
        (["empty.txt", "-o", "x.gist"], "empty"),
        (["notes", "-o", "doc.txt"], "is a file"),
        (["notes", "-o", "notes/store"], "inside"),
        (["long.txt", "-o", "x.gist"], "--window-tokens"),
    ],
)
def test_mistakes_are_one_line(
    text: Path,
    notes: Path,
    compress: GistBench,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    """What was given and what to do; nothing is written."""
    monkeypatch.chdir(text.parent)
    Path("empty.txt").write_text("")
    Path("long.txt").write_text(TEXT * 40)
    before = sorted(text.parent.rglob("*"))
    code, out, err = compress(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert sorted(text.parent.rglob("*")) == before
    assert notes.is_dir()


def test_a_long_document_fits_in_windows(
    text: Path, compress: GistBench, gist_bench: GistBench
) -> None:
    """What is too long for one pass is compressed in parts, and asked like any other."""
    text.write_text(TEXT * 40)
    gist = text.with_suffix(".gist")
    assert compress(text, "-o", gist, "--window-tokens", 400, "--ratio", 32)[0] == 0
    assert read_manifest(gist).context_tokens > 2048
    assert gist_bench("ask", gist, "Who?", "--max-new-tokens", 3)[0] == 0


def test_another_adapter_is_refused(
    gist: Path, adapter: Path, gist_bench: GistBench, tmp_path: Path
) -> None:
    """--checkpoint is a hint like the file's own: the hash decides."""
    other = shutil.copytree(adapter, tmp_path / "other")
    (other / "gist.json").write_text((other / "gist.json").read_text().replace("16.0", "8.0"))
    code, out, err = gist_bench("ask", gist, "Who?", "--checkpoint", other)
    assert (code, out) == (2, "")
    assert "another adapter" in err


def test_what_cannot_be_asked_is_one_line(
    gist: Path, gist_bench: GistBench, tmp_path: Path
) -> None:
    """No file, a folder that is no store, an empty question, damage."""
    cut = tmp_path / "cut.gist"
    cut.write_bytes(gist.read_bytes()[:-7])
    for arguments in ([tmp_path / "no.gist", "Who?"], [tmp_path, "Who?"], [gist, " "], [cut, "W?"]):
        code, out, err = gist_bench("ask", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_what_is_no_gist_file_is_said_before_a_model_library_is_loaded(text: Path) -> None:
    """Loading torch takes seconds, and the first bytes of the file are enough to say it."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stdout))\n"
        "from harness.cli import main\n"
        f"main(['ask', {str(text)!r}, 'Who?'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "is no gist file" in done.stderr
    assert not {"torch", "transformers"} & set(done.stdout.split())


def test_a_folder_becomes_a_store(
    notes: Path, compress: GistBench, gist_bench: GistBench, tmp_path: Path
) -> None:
    """Every document by its path; the answer names the document, on stderr."""
    store = tmp_path / "store"
    (notes / "photo.png").write_bytes(b"\x89PNG\r\n")
    code, out, err = compress(notes, "-o", store, "--embedder", "bm25", "--tokens", 8)
    assert (code, out) == (0, "added bees.md\nadded sub/ferry.txt\n2 added\n")
    assert "photo.png" in err
    (notes / "bees.md").unlink()
    code, out, _ = compress(notes, "-o", store, "--embedder", "bm25", "--tokens", 8)
    assert (code, out) == (0, "removed bees.md\n1 unchanged, 1 removed\n")
    code, out, err = gist_bench("ask", store, "When does the ferry leave?", "--max-new-tokens", 4)
    assert code == 0
    assert out
    assert err == "from sub/ferry.txt\n"


def test_a_document_that_fails_is_reported(
    notes: Path, compress: GistBench, tmp_path: Path
) -> None:
    """The others are done, and the exit code says that one is missing."""
    (notes / "long.txt").write_text(TEXT * 40)
    code, out, _ = compress(notes, "-o", tmp_path / "store", "--embedder", "bm25")
    assert code == 1
    assert "failed long.txt: the sequence needs" in out
    assert "2 added" in out


def test_a_killed_process_loses_nothing(
    notes: Path, compress: GistBench, tiny_qwen3_folder: Path, adapter: Path, tmp_path: Path
) -> None:
    """After kill -9 every gist that is there is whole, and the same command does the rest."""
    for number in range(200):
        (notes / f"n{number:03}.txt").write_text(f"Note {number}. {TEXT}")
    store = tmp_path / "store"
    words = ["compress", str(notes), "-o", str(store), "--embedder", "bm25", "--device", "cpu"]
    words += ["--model", str(tiny_qwen3_folder), "--checkpoint", str(adapter)]
    code = f"from harness.cli import main\nmain({words!r})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as process:
        while len(written := list(store.glob("documents/*/*.gist"))) < 3:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    written = list(store.glob("documents/*/*.gist"))
    assert 3 <= len(written) < 202
    assert all(read_manifest(path).gists for path in written)
    before = {path: path.read_bytes() for path in written}
    code_after, out, _ = compress(notes, "-o", store, "--embedder", "bm25")
    assert code_after == 0
    assert out.endswith(f"{202 - len(written)} added, {len(written)} unchanged\n") or out.endswith(
        f"{len(written)} unchanged, {202 - len(written)} added\n"
    )
    assert {path: path.read_bytes() for path in written} == before
    assert len(list(store.glob("documents/*/*.gist"))) == 202
