"""The browser of samples shows what was asked about what, and where the answer stands."""

import gzip
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.report.html.excerpts import CUT, excerpt, find
from harness.report.html.page import make_page
from harness.report.html.samples import Samples, samples
from harness.report.html.sources import MAX_CONTEXT
from harness.report.sections import sections_of
from harness.run.contexts import CONTEXTS
from harness.run.records import Row
from harness.run.rows import read_rows
from tests.support.browser import Browser, browser, find_chromium
from tests.support.rows import row, write_run

PROOF = "The rent is 900 euros."
PASSAGE = "The flat is let\nto Ada Byron."
TEXT = f"{PASSAGE} {PROOF} It has a garden."


def rows() -> Iterator[Row]:
    """Yield one question of two, answered by three backends, one of which invents."""
    for backend, right in (("full", 1.0), ("rag", 0.0), ("gist", 0.0)):
        for question in (0, 1):
            shown = {
                "question": f"What is the rent, {question}?",
                "f1": right,
                "answer": f"{backend} says",
                "targets": ("900 euros",),
                "cut": 1.0 if backend == "gist" else 0.0,
                "hallucinated": 1.0 - right if question else None,
                "evidence": (" ".join(PASSAGE.split()), "elsewhere") if backend == "rag" else (),
            }
            yield {**row(backend, 0, question), **shown}


def kept(folder: Path, text: str = TEXT) -> Path:
    """Write a run with its contexts."""
    write_run(folder, rows())
    support = {"q0": [PROOF], "q1": [PROOF]}
    line = {"suite": "qa", "sample_id": "s0", "context": text, "support": support}
    (folder / CONTEXTS).write_bytes(gzip.compress(json.dumps(line).encode() + b"\n"))
    return folder


def shown(folder: Path) -> Samples:
    """Return the samples of the page on a run."""
    found = read_rows([folder], answers=True)
    return samples(sections_of(found), found.folders)


def marked(found: Samples, item: Mapping[str, Any], name: str) -> list[str]:
    """Return what is marked in the context of a question."""
    spans = item["support"] if name == "support" else item["passages"][1]
    return [found.contexts[item["context"]][start:end] for start, end in spans]


def test_a_question_has_its_context_once_and_marks_in_it(tmp_path: Path) -> None:
    """The proving sentence, and the retrieved passages whatever their line breaks."""
    found = shown(kept(tmp_path / "run"))
    assert found.contexts == (TEXT,)
    for number, item in enumerate(found.items):
        assert item["question"] == f"What is the rent, {number}?"
        assert marked(found, item, "support") == [PROOF]
        assert marked(found, item, "passages") == [PASSAGE]
        assert list(item["passages"]) == [1]  # what retrieves nothing has none
        assert item["cut"] == [2]
    assert [item["invented"] for item in found.items] == [[], [1, 2]]


def test_a_run_without_contexts_is_shown_without_them(tmp_path: Path) -> None:
    """Questions are in the rows; a run of an earlier version has not even those."""
    folder = kept(tmp_path / "run")
    (folder / CONTEXTS).unlink()
    found = shown(folder)
    assert found.contexts == ()
    assert [item["question"] for item in found.items] == [f"What is the rent, {n}?" for n in (0, 1)]
    assert not [item for item in found.items if "context" in item]
    old = [{**one, "question": None, "evidence": None, "cut": None} for one in rows()]
    old_run = write_run(tmp_path / "old", old)
    assert {item.get("question") for item in shown(old_run).items} == {""}
    assert "What each way is worth" in make_page(read_rows([old_run], answers=True))


@pytest.mark.parametrize("cell", ["[900 euros", "900 euros", "{}", "7", "null", "[" * 9_000])
def test_accepted_answers_that_are_no_list_are_refused(tmp_path: Path, cell: str) -> None:
    """Shown as none, they would say that the text does not hold the answer."""
    file = kept(tmp_path / "run") / "records.csv"
    good = '"[""900 euros""]"'
    assert good in file.read_text()
    file.write_text(file.read_text().replace(good, f'"{cell}"'))
    with pytest.raises(UserError, match="targets of question 'q0', sample 's0', is no JSON list"):
        shown(tmp_path / "run")


def test_a_long_context_is_cut_around_what_matters() -> None:
    """What is marked stays, with some text around it, and places are those in what is shown."""
    text = "filler " * 4000 + PROOF + " filler" * 4000
    span = find(text, PROOF)
    assert span is not None
    part = excerpt(text, [span], MAX_CONTEXT)
    assert len(part.text) <= MAX_CONTEXT + len(CUT)
    ((start, end),) = part.places([span])
    assert part.text[start:end] == PROOF
    assert part.text.startswith("filler")
    assert CUT in part.text
    assert part.place((len(text) - 5, len(text))) is None


@pytest.mark.parametrize("piece", ["", " ", "nowhere", "a+(b"])
def test_what_a_text_does_not_hold_has_no_place(piece: str) -> None:
    """Nothing is marked for it."""
    assert find(TEXT, piece) is None


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser, if this machine has one."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine: install one, or set CHROMIUM")
    with browser(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


def test_the_browser_marks_filters_and_obeys_keys(chromium: Browser, tmp_path: Path) -> None:
    """Marks are elements, `invented` hides what is not, and single keys move and open."""
    file = tmp_path / "report.html"
    evil = TEXT + "<img src=x onerror=alert(1)>"
    page = make_page(read_rows([kept(tmp_path / "run", evil)], answers=True))
    file.write_text(page, encoding="utf-8")
    chromium.open(file)
    chromium.press("j", text="j")
    chromium.press("c", text="c")
    marks = "[...document.querySelectorAll('.item mark')].map(e => [e.className, e.textContent])"
    start = time.monotonic()
    while not chromium.run(marks) and time.monotonic() - start < 10:
        time.sleep(0.05)  # a busy machine takes its time to draw
    assert chromium.run(marks) == [["passage", PASSAGE], ["support", PROOF]]
    assert chromium.run("document.querySelector('.context .text').textContent") == evil
    assert chromium.run("document.images.length") == 0
    titles = "[...document.querySelectorAll('.item h3')].map(e => e.textContent)"
    assert len(chromium.run(titles)) == 2
    chromium.run("document.getElementById('invented').click()")
    assert chromium.run(titles) == ["What is the rent, 1?"]
    scores = "[...document.querySelectorAll('.item dl > div')].map(e => e.className)"
    assert chromium.run(scores) == ["right", "wrong", "wrong"]
    chromium.press("/", text="/")
    assert chromium.run("document.activeElement.id") == "search"
    assert chromium.complaints() == []
