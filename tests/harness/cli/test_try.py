"""`gist-bench try`: documents of several kinds become a verdict, a page and a next command."""

import csv
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Done, GistBench

PLACES = ("Corvala", "Brenta", "Ostiva", "Melbury")
KINDS = ("txt", "md", "html", "rst")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with short documents below docs/, one of which cannot be read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for place, kind in zip(PLACES, KINDS, strict=True):
        text = "\n\n".join(
            f"The {thing} of {place} costs {n + 11} euros. Ada {place} made it in {1900 + n}."
            for n, thing in enumerate(("lamp", "boat", "mill"))
        )
        page = f"<html><body><p>{text}</p></body></html>" if kind == "html" else text
        (tmp_path / "docs" / f"{place.lower()}.{kind}").write_text(page)
    (tmp_path / "docs" / "noise.bin").write_bytes(b"\0" * 90)
    return tmp_path


@pytest.fixture
def attempt(folder: Path, tiny_llama_folder: Path, gist_bench: GistBench) -> Callable[..., Done]:
    """Return a function that tries the tiny model on docs/."""
    assert folder.is_dir()
    model = ("--model", tiny_llama_folder)
    return lambda *words: gist_bench("try", *words, *model, "--backend", "rag,embedder=bm25")


def test_documents_become_a_verdict_in_twelve_lines(
    attempt: Callable[..., Done], folder: Path
) -> None:
    """Then come the page and the next command; given again, the command asks nothing anew."""
    done = attempt("docs")
    assert done.code == 0, done.err
    verdict, _, rest = done.out.partition("\n\n")
    assert len(verdict.splitlines()) <= 12
    assert "this model cannot read these documents" in verdict  # its weights are random
    assert "full " in verdict
    page, *_, following = rest.splitlines()
    assert page == "gist-bench-try/report.html: open it in a browser."
    assert "<html" in (folder / "gist-bench-try/report.html").read_text()
    assert following == (
        "Next: gist-bench try docs --backend rag,embedder=bm25 --model MODEL "
        "--out gist-bench-try-other   (a model that reads these documents)"
    )
    assert "docs/noise.bin is binary" in done.err
    rows = {path: path.read_bytes() for path in folder.rglob("records.csv")}
    assert attempt("docs").out == done.out
    assert {path: path.read_bytes() for path in folder.rglob("records.csv")} == rows


def test_own_questions_are_asked_as_they_are(attempt: Callable[..., Done], folder: Path) -> None:
    """With --data no document is read; without time for all, it is said what was left out."""
    lines = (
        f'{{"id": "{place}", "context": "Ada lives in {place}. She is {n}.", "questions": '
        f'[{{"id": "1", "question": "Where is Ada?", "answers": ["{place}"]}}, '
        f'{{"id": "2", "question": "Who is Bob?", "answers": []}}]}}\n'
        for n, place in enumerate(PLACES)
    )
    (folder / "mine.jsonl").write_text("".join(lines))
    words = ("--data", "mine.jsonl", "--out", "a try")
    done = attempt(*words, "--minutes", "1e-9", "--restart")
    assert done.code == 0, done.err
    assert "7 of 8 questions were left out, to keep to --minutes." in done.out
    command, _, why = done.out.splitlines()[-1].rpartition(" --minutes ")
    assert shlex.split(command)[:5] == ["Next:", "gist-bench", "try", "--data", "mine.jsonl"]
    assert command.endswith(" --backend rag,embedder=bm25 --out 'a try'")  # nor --restart
    assert re.fullmatch(r"\d+   \(asks all questions\)", why)


def test_documents_and_data_exclude_each_other(attempt: Callable[..., Done]) -> None:
    """One of them is needed; what to give is said in one line."""
    for words in ((), ("docs", "--data", "mine.jsonl")):
        done = attempt(*words)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "Give DOCS... or --data FILE" in done.err


@pytest.mark.slow
def test_a_try_that_trains_compares_its_own_adapter(
    attempt: Callable[..., Done], folder: Path
) -> None:
    """On documents that it did not train on; given again, it trains and asks nothing anew."""
    done = attempt("docs", "--train", "2")
    assert done.code == 0, done.err
    adapter = folder / "gist-bench-try" / "training" / "adapter"
    assert (adapter / "gist.json").is_file()
    trained, asked = (
        {json.loads(line)["id"] for line in file.read_text().splitlines()}
        for file in (
            folder / "gist-bench-try" / name for name in ("questions.jsonl", "asked.jsonl")
        )
    )
    assert trained
    assert asked
    assert not trained & asked
    backends = set()
    for records in (folder / "gist-bench-try" / "runs").glob("*/records.csv"):
        with records.open(newline="") as file:
            backends |= {row["backend"] for row in csv.DictReader(file)}
    assert {name.partition(",")[0] for name in backends} >= {"closed_book", "rag", "full", "gist"}
    assert any(f"checkpoint={adapter.relative_to(folder)}" in name for name in backends)
    assert done.out.splitlines()[-1].startswith("Next: gist-bench ")
    before = {path: path.read_bytes() for path in adapter.rglob("*") if path.is_file()}
    assert attempt("docs", "--train", "2").out == done.out
    assert {path: path.read_bytes() for path in adapter.rglob("*") if path.is_file()} == before
