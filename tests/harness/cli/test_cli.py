"""The command line: what it prints, how it exits, and what it imports."""

import errno
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from tests.support.commands import GistBench

SCORED = "tests.support.fakes:Scored,contexts=3"
BROKEN = "tests.support.fakes:Broken"


def in_a_process(*arguments: str) -> tuple[str, set[str], float]:
    """Run a command; return its stdout, the top-level modules it imported, its CPU seconds."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*{m.partition('.')[0] for m in sys.modules},"
        " file=sys.stderr))\n"
        "from harness.cli import main\n"
        f"main({list(arguments)!r})"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, set(done.stderr.split()), seconds


@pytest.mark.parametrize("command", ["--help", "list"])
def test_help_and_list_are_quick(command: str) -> None:
    """Neither imports anything heavy, and both take less than half a second of the processor."""
    out, modules, seconds = in_a_process(command)
    assert out
    assert "click" in modules
    assert not modules & {"torch", "transformers", "pandas", "numpy", "chromadb", "scipy", "bm25s"}
    assert seconds < 0.5


def test_a_run_imports_what_its_backends_need(tmp_path: Path) -> None:
    """Full context needs no adapter, and neither do its checks: peft takes a second to import."""
    options = ("--backend", "full", "--suite", "passkey", "--limit", "1", "--out", str(tmp_path))
    out, modules, _ = in_a_process("run", *options)
    assert "backend as run" in out
    assert "torch" in modules
    assert not modules & {"peft", "bitsandbytes", "chromadb", "sentence_transformers", "ray"}


def test_help_says_what_each_command_does_in_a_whole_sentence(gist_bench: GistBench) -> None:
    """No summary is cut off, and every one ends with its point."""
    _, out, _ = gist_bench("--help")
    listed = out.partition("Commands:\n")[2]
    assert "..." not in listed
    summaries = re.split(r"^  (?=\S)", listed, flags=re.MULTILINE)[1:]
    assert len(summaries) >= 15
    assert [one for one in summaries if not one.rstrip().endswith(".")] == []


def test_list_shows_what_a_spec_can_say(gist_bench: GistBench) -> None:
    """Every backend and suite is listed with its options, defaults and metrics."""
    code, out, err = gist_bench("list")
    assert (code, err) == (0, "")
    for words in ("  rag ", "top_k=", "order=document", "document or score", "  passkey ",
                  "metrics: exact_match, contains", "  vram ", "none, it shows costs"):  # fmt: skip
        assert words in out
    assert "model=" not in out


def test_every_command_and_option_explains_itself(gist_bench: GistBench) -> None:
    """Each command has an example in its help, each option a line."""
    import click

    from harness.cli import cli

    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        code, out, _ = gist_bench(name, "--help")
        assert code == 0
        assert f"gist-bench {name}" in out.partition("Example")[2], name
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert [option.name for option in options if not option.help] == [], name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rum"], ["unknown command 'rum'", "Did you mean 'run'?"]),
        (["run", "--suite", "passkeys"], ["unknown suite", "Did you mean 'passkey'?"]),
        (["run", "--backend", "fulll"], ["unknown backend", "Did you mean 'full'?"]),
        (["run", "--backend", "rag,topk=3"], ["unknown option 'topk'", "'top_k'"]),
        (["run", "--backend", "rag,top_k=few"], ["'few'", "Give int"]),
        (["run", "--backend", "no_module:Class"], ["No module named 'no_module'"]),
        (["run", "--limit", "0"], ["--limit", "x>=1"]),
        (["run", "--dtype", "fp8"], ["--dtype", "bfloat16"]),
        (["run", "--seed", "x"], ["--seed", "integer"]),
        (["run", "--speed"], ["--speed"]),
        (["run", "extra"], ["extra"]),
        (["run", "--suite", SCORED, "--backend", "full", "--model", "./nowhere"], ["nowhere"]),
    ],
)
def test_a_mistake_is_one_line(
    gist_bench: GistBench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: list[str],
) -> None:
    """Bad input exits with 2 and one line that says what was given; nothing is written."""
    monkeypatch.chdir(tmp_path)
    code, out, err = gist_bench(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("gist-bench: error: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words), err
    assert list(tmp_path.iterdir()) == []


def test_no_command_shows_the_help(gist_bench: GistBench) -> None:
    """Without a command the help is shown, and that is a mistake."""
    code, _, err = gist_bench()
    assert code == 2
    assert "Commands:" in err


def test_a_run_prints_its_tables_and_its_folder(
    gist_bench: GistBench, tmp_path: Path, tiny_qwen3_folder: Path
) -> None:
    """A run ends with tables and the folder; asked again it prints the same without running."""
    command = ["run", "--suite", SCORED, "--backend", "full", "--model", tiny_qwen3_folder,
               "--limit", 2, "--batch-size", 2, "--seed", 5, "--out", tmp_path]  # fmt: skip
    code, out, _ = gist_bench(*command)
    assert code == 0
    (folder,) = tmp_path.iterdir()
    assert out.splitlines()[-1] == str(folder)
    assert "full" in out
    assert (folder / "records.csv").read_text().count("\n") == 1 + 2 * 3
    run_json = json.loads((folder / "run.json").read_text())
    assert run_json["status"] == "finished"
    settings = {name: run_json["configuration"][name] for name in ("limit", "batch_size", "seed")}
    assert settings == {"limit": 2, "batch_size": 2, "seed": 5}
    before = (folder / "records.csv").stat().st_mtime_ns
    assert gist_bench(*command)[1] == out
    assert (folder / "records.csv").stat().st_mtime_ns == before


def test_models_and_seeds_are_one_command_and_one_report(
    gist_bench: GistBench, tmp_path: Path, tiny_qwen3_folder: Path, tiny_llama_folder: Path
) -> None:
    """Each model with each seed is the run of its own command; the report shows all of them."""
    common = ("run", "--suite", SCORED, "--backend", "full", "--out", tmp_path)
    models = ("--model", tiny_qwen3_folder, "--model", tiny_llama_folder)
    code, out, err = gist_bench(*common, *models, "--seed", "0+1")
    assert code == 0, err
    folders = out.splitlines()[-4:]
    assert sorted(folders) == sorted(str(path) for path in tmp_path.iterdir())
    assert "Models side by side" in out
    assert out.count("right by seed") == 2
    again = gist_bench(*common, "--model", tiny_llama_folder, "--seed", 1)
    assert again[1].splitlines()[-1] == folders[-1]
    missing = gist_bench(*common, "--model", tiny_qwen3_folder, "--model", tmp_path / "none")
    assert missing[0] == 2
    assert "none" in missing[2]


def test_an_interrupted_run_keeps_what_is_done(
    gist_bench: GistBench, tmp_path: Path, tiny_qwen3_folder: Path
) -> None:
    """Ctrl-C exits with 130, says how to go on, and leaves whole samples."""
    code, out, err = gist_bench(
        "run", "--suite", SCORED, "--backend", f"{BROKEN},out={tmp_path}",
        "--model", tiny_qwen3_folder, "--out", tmp_path,
    )  # fmt: skip
    assert (code, out) == (130, "")
    assert "the same command goes on" in err
    (folder,) = tmp_path.iterdir()
    rows = (folder / "records.csv").read_text().splitlines()
    assert len(rows) == 1 + 3
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize(
    "error",
    [
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS),
        *(errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
    ],
)
def test_a_disk_that_refuses_is_one_line(
    gist_bench: GistBench, tmp_path: Path, tiny_qwen3_folder: Path, error: int
) -> None:
    """A full, forbidden or read-only disk is said in one line with the file's name."""
    code, _, err = gist_bench(
        "run", "--suite", SCORED, "--backend", f"{BROKEN},error={error}",
        "--model", tiny_qwen3_folder, "--out", tmp_path,
    )  # fmt: skip
    assert code == 2
    (line,) = [line for line in err.splitlines() if line.startswith("gist-bench: error: ")]
    assert line.startswith("gist-bench: error: a/file: ")


def test_another_failure_of_the_system_is_not_hidden(
    tmp_path: Path, tiny_qwen3_folder: Path
) -> None:
    """An error that is no mistake of the user keeps its traceback."""
    with pytest.raises(OSError, match="Errno 5"):
        main(["run", "--suite", SCORED, "--backend", f"{BROKEN},error={errno.EIO}",
              "--model", str(tiny_qwen3_folder), "--out", str(tmp_path)])  # fmt: skip


def test_a_notice_is_shown_once(
    gist_bench: GistBench, tmp_path: Path, tiny_qwen3_folder: Path
) -> None:
    """Backends that cannot answer for one reason are left out of the default with one line."""
    code, _, err = gist_bench(
        "run", "--suite", "tests.support.fakes:Scored,contexts=1", "--model", tiny_qwen3_folder,
        "--out", tmp_path,
    )  # fmt: skip
    assert code == 0
    lines = [line for line in err.splitlines() if "train-gist" in line]
    assert len(lines) == 1
    backends = "gist, gist_store, hybrid, full,adapter=on, closed_book,adapter=on"
    assert lines[0].startswith(f"gist-bench: without {backends}:")
