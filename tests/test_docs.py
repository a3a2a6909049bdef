"""README and docs say what is true: commands run, code works, tables and pages are not stale."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest

from harness.cli import cli
from harness.cli.docs import command_line_page
from harness.report.render import MARKED, regenerated
from harness.run import plugins
from harness.run.spec import options_of
from tests.support.commands import GistBench
from tests.support.paths import ROOT

CLI = ROOT / "docs/cli.md"
PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path != CLI
]
TEXTS = {path: path.read_text(encoding="utf-8") for path in (*PAGES, CLI)}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
NOT_RUN = {  # words of the commands that are only read
    "train-reference",  # hours; its own tests train a small one
    "--config",  # the curriculum of the reference adapter: hours
    "qa,data=babi:babi/qa1_single-supporting-fact_test.txt",  # somebody else's files
    # Somebody else's book.
    "passkey,text=alice.txt,styles=landmark,tokens=1024+2048+4000+16384,repeats=3",
    "--update",  # test_the_tables_are_not_stale
    "--ray",  # an extra; the tests of workers start it
    # These need documents, servers or two runs; their own tests run them.
    *("try", "verify", "inspect", "compare", "compress", "ask", "make-qa", "import", "rescore"),
}
QUICK = {
    "run": ["--limit", "1"],
    "doctor": [],
    "train-gist": ["--max-steps", "1", "--batch-tokens", "512", "--rank", "2"],
}


def blocks(kind: str, pages: Iterable[Path] = PAGES) -> list[str]:
    """Return the code blocks of a language."""
    found = (block for page in pages for block in BLOCK.findall(TEXTS[page]))
    return [body for language, body in found if language == kind]


def commands(pages: Iterable[Path] = PAGES) -> list[list[str]]:
    """Return the words of every gist-bench command line, the program's name left out."""
    bodies = (body.replace("\\\n", "") for body in blocks("sh", pages))
    lines = dict.fromkeys(line for body in bodies for line in body.splitlines())
    typed = [shlex.split(re.sub(r"\s#.*", "", line)) for line in lines]
    return [words[1:] for words in typed if words[:1] == ["gist-bench"]]


def sections(page: Path) -> dict[str, str]:
    """Return the text below each heading of a page, up to the next one."""
    parts = HEADING.split(BLOCK.sub(lambda found: found[0].replace("\n#", "\n"), TEXTS[page]))
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
        if before == "--backend":
            word = re.sub(r"\bgist\b[^)]*", "gist,untrained=true", word)
        kept.append(word)
    if words == ["run"]:  # every backend, but not in every suite
        kept += ["--suite", "passkey", "--suite", "vram"]
    elif name == "run" and "--backend" not in kept:
        kept += ["--backend", "full", "--backend", "rag,embedder=bm25"]
    return [name, *kept, "--model", str(model), *QUICK[name]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of someone who has saved the files of the pages under their names."""
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


@pytest.mark.parametrize("words", commands([*PAGES, CLI]), ids=" ".join)
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
    words: list[str], folder: Path, tiny_llama_folder: Path, gist_bench: GistBench
) -> None:
    """On a tiny model, with one sample or one training step, the command ends well."""
    if words[0] == "report":
        first = ["run", "--suite", "places:Places,documents=1", "--backend", "full"]
        assert gist_bench(*quick(first, tiny_llama_folder)).code == 0
    done = gist_bench(*quick(words, tiny_llama_folder))
    assert done.code == 0, done.err
    records = list((folder / "results/runs").glob("*/records.csv"))
    assert bool(records) == (words[0] in ("run", "report"))


def test_a_stale_command_line_is_noticed() -> None:
    """The check above can fail: an option that is not there is refused."""
    with pytest.raises(click.NoSuchOption):
        command_named("run").make_context("run", ["--no-such-option"])


def test_the_page_of_commands_is_not_stale() -> None:
    """docs/cli.md is what `make docs` writes."""
    assert TEXTS[CLI] == command_line_page()


def test_the_readme_is_short() -> None:
    """It is read to its end."""
    assert TEXTS[ROOT / "README.md"].count("\n") <= 180


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
    rows = dict(rows_of(sections(ROOT / "docs/method.md")[heading]))
    assert sorted(rows) == plugins.names(group)
    for name, cells in rows.items():
        kind = plugins.load(group, name)
        options = [option.name for option in options_of(kind, given=given)]
        assert re.findall(r"`(\w+)`", cells[-1]) == options
        metrics = getattr(kind, "metrics", None)
        assert metrics is None or cells[2] == (", ".join(metrics) or "costs only")


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "results/README.md"])
def test_the_tables_are_not_stale(name: str) -> None:
    """What stands between the markers is what `gist-bench report --update` writes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert MARKED.search(text)
    assert regenerated(ROOT / name) == text


def test_the_map_of_folders_is_complete() -> None:
    """It names every folder of the packages with code or data, and none that is not there."""
    (tree,) = [body for body in blocks("") if body.startswith("harness/")]
    named: list[Path] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = named[-1] if named else Path()
        parents = [above, *above.parents][::-1]
        named.append(parents[depth] / line.split()[0])
    assert [path for path in named if not (ROOT / path).is_dir()] == []
    packages = ("harness", "backends", "benchmarks", "gist")
    inside = (path.parent for name in packages for path in (ROOT / name).rglob("*.py"))
    assert {path.relative_to(ROOT) for path in inside} <= set(named)


@pytest.mark.parametrize("page", [*PAGES, CLI], ids=lambda page: page.name)
def test_every_path_and_link_leads_somewhere(page: Path) -> None:
    """Files that are named or linked are there, and so are the headings behind a #."""
    written_later = ("results/runs", "results/reference")
    folders = "harness|backends|gist|benchmarks|results|tests|docs"
    for path in re.findall(rf"`((?:{folders})/[\w/.-]+)`", TEXTS[page]):
        assert path.startswith(written_later) or (ROOT / path).exists(), path
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXTS[page]):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        names = (
            [re.sub(r"[^\w -]", "", name).lower() for name in sections(target)] if anchor else []
        )
        assert anchor in ("", *(name.replace(" ", "-") for name in names)), link
