"""README says what is true: its commands run, its code works, its tables are not stale."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness import plugins
from harness.cli import cli, main
from harness.report import MARKED, regenerated
from harness.spec import options_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
NOT_RUN = {  # words of the commands that are only read
    "train-reference",  # hours; its own tests train a small one
    "--config",  # the curriculum of the reference adapter: hours
    "qa,data=babi:babi/qa1_single-supporting-fact_test.txt",  # somebody else's files
    # Somebody else's book.
    "passkey,text=alice.txt,styles=landmark,tokens=1024+2048+4000+16384,repeats=3",
    "--update",  # test_the_tables_are_not_stale
    # These need documents, servers or two runs; their own tests run them.
    *("verify", "inspect", "compare", "compress", "ask", "make-qa", "import"),
}
QUICK = {
    "run": ["--limit", "1"],
    "doctor": [],
    "train-gist": ["--max-steps", "1", "--batch-tokens", "512", "--rank", "2"],
}


def blocks(kind: str) -> list[str]:
    """Return README's code blocks of a language."""
    return [body for language, body in BLOCK.findall(README) if language == kind]


def commands() -> list[list[str]]:
    """Return the words of every gist-bench command line, the program's name left out."""
    lines = [line for body in blocks("sh") for line in body.replace("\\\n", "").splitlines()]
    typed = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in typed if words[:1] == ["gist-bench"]]


def sections() -> dict[str, str]:
    """Return the text below each heading, up to the next one."""
    parts = HEADING.split(BLOCK.sub(lambda found: found[0].replace("\n#", "\n"), README))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def command_named(name: str) -> click.Command:
    """Return a command of the program."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def quick(words: list[str], model: Path) -> list[str]:
    """Return the command on a tiny model, with one sample or one step and no adapter needed."""
    name, *rest = words
    if name not in QUICK:
        return words
    kept: list[str] = []
    for before, word in zip([name, *rest], rest, strict=False):
        if before == "--model" or word in ("--model", "--load-in-4bit"):
            continue
        if before == "--backend" and word.startswith("gist"):
            word = "gist,untrained=true"
        kept.append(word)
    if words == ["run"]:  # every backend, but not in every suite
        kept += ["--suite", "passkey", "--suite", "vram"]
    elif name == "run" and "--backend" not in kept:
        kept += ["--backend", "full", "--backend", "rag,embedder=bm25"]
    return [name, *kept, "--model", str(model), *QUICK[name]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of someone who has saved README's files under the names it gives them."""
    for code in blocks("python"):
        name = code.partition("\n")[0].removeprefix("# ")
        (tmp_path / name).write_text(code, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    for name in ("mine.jsonl", "train.jsonl"):
        (tmp_path / name).write_text("".join(blocks("jsonl")), encoding="utf-8")
    (tmp_path / "gist/reference").mkdir(parents=True)
    for curriculum in (ROOT / "gist/reference").glob("*.yaml"):
        shutil.copy(curriculum, tmp_path / "gist/reference")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def exit_code(words: list[str]) -> object:
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_line_is_understood(words: list[str], folder: Path) -> None:
    """The command exists and takes these options with these values."""
    assert folder.is_dir()
    name, *rest = words
    command_named(name).make_context(name, rest)


@pytest.mark.parametrize(
    "words",
    [words for words in commands() if not NOT_RUN.intersection(words)],
    ids=" ".join,
)
def test_every_command_line_runs(
    words: list[str], folder: Path, tiny_llama_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a tiny model, with one sample or one training step, the command ends well."""
    if words[0] == "report":
        first = ["run", "--suite", "capitals:Capitals", "--backend", "full"]
        assert exit_code(quick(first, tiny_llama_folder)) in (0, None)
    assert exit_code(quick(words, tiny_llama_folder)) in (0, None), capsys.readouterr().err
    records = list((folder / "results/runs").glob("*/records.csv"))
    assert bool(records) == (words[0] in ("run", "report"))


def test_a_stale_command_line_is_noticed() -> None:
    """The check above can fail: an option that is not there is refused."""
    with pytest.raises(click.NoSuchOption):
        command_named("run").make_context("run", ["--no-such-option"])


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_every_command_and_option_is_documented(name: str) -> None:
    """A command has a section that names it in its heading, with all its options."""
    (text,) = [text for heading, text in sections().items() if f"gist-bench {name}" in heading]
    options = {
        max(option.opts, key=len)
        for option in command_named(name).params
        if isinstance(option, click.Option)
    }
    assert options <= set(re.findall(r"--[a-z0-9-]+", text))


def rows_of(table: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the cells of each row of a table whose rows start with a name."""
    for line in table.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            yield cells[0].strip("` "), cells


@pytest.mark.parametrize(
    ("heading", "group", "given"),
    [("Backends", plugins.BACKENDS, 1), ("Suites", plugins.SUITES, 0)],
)
def test_the_tables_of_backends_and_suites_are_complete(
    heading: str, group: str, given: int
) -> None:
    """Every installed one has a row with all its options and metrics, and no row is of another."""
    rows = dict(rows_of(sections()[heading]))
    assert sorted(rows) == plugins.names(group)
    for name, cells in rows.items():
        kind = plugins.load(group, name)
        options = [option.name for option in options_of(kind, given=given)]
        assert re.findall(r"`(\w+)`", cells[-1]) == options
        metrics = getattr(kind, "metrics", None)
        assert metrics is None or cells[2] == (", ".join(metrics) or "costs only")


@pytest.mark.parametrize("name", ["README.md", "results/README.md"])
def test_the_tables_are_not_stale(name: str) -> None:
    """What stands between the markers is what `gist-bench report --update` writes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert MARKED.search(text)
    assert regenerated(ROOT / name) == text


def test_every_file_of_the_tree_exists() -> None:
    """The annotated tree names no file or folder that is not there."""
    (tree,) = [body for body in blocks("") if body.startswith("harness/")]
    folder = ROOT
    for line in tree.splitlines():
        name = line.split()[0]
        folder = folder if line.startswith(" ") else ROOT / name
        assert (folder / name if line.startswith(" ") else folder).exists(), line


def test_every_path_and_anchor_exists() -> None:
    """Files named in the text are there, and links within README lead somewhere."""
    written_later = ("results/runs", "results/reference")
    paths = re.findall(r"`((?:harness|backends|gist|benchmarks|results|tests)/[\w/.]+)`", README)
    for path in paths:
        assert path in written_later or (ROOT / path).exists(), path
    anchors = {re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in sections()}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors
