"""The page shows what the rows say, needs nothing from elsewhere, and is safe whatever it shows."""

import base64
import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli.report import command
from harness.errors import UserError
from harness.report.format import Table
from harness.report.html import samples
from harness.report.html.page import make_page
from harness.report.render import section_tables
from harness.report.sections import sections_of
from harness.report.verdict import Verdict, verdicts
from harness.report.verdict_page import best_ways
from harness.run.rows import read_rows
from tests.support.browser import Browser, browser, find_chromium
from tests.support.made_run import BACKENDS, COSTS_ONLY, RUN, made_run, rows_of
from tests.support.rows import scored, sections, write_run

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`&lt;<!-- ${x} {{ 7*7 }} "
    "\u202eRTL \u05d0\u05d1 \u2028 line\n\ttab \\n <b>bold</b>"
)
HOSTILE_RUN = {**RUN, "command": f"gist-bench run {HOSTILE}", HOSTILE: HOSTILE}
VOID = ("meta", "link", "input", "br", "img", "hr")


class Page(HTMLParser):
    """The elements of a page, and its tables by caption."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.scripts: list[str] = []
        self.unclosed: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.unclosed.append(tag)
        match tag:
            case "table":
                self._rows, self._caption = [], ""
            case "tr":
                self._rows.append([])
            case "td" | "th":
                self._rows[-1].append("")
            case "script":
                self.scripts.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element without content, as SVG has them."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Check the nesting, and keep a table that has ended."""
        assert self.unclosed.pop() == tag, self.getpos()
        if tag == "table":
            self.tables.setdefault(self._caption, self._rows)

    def handle_data(self, data: str) -> None:
        """Add text to the cell, caption or script around it."""
        match self.unclosed[-1:]:
            case ["td" | "th"]:
                self._rows[-1][-1] += data
            case ["caption"]:
                self._caption += data
            case ["script"]:
                self.scripts[-1] += data

    def named(self, tag: str) -> Iterator[dict[str, str]]:
        """Yield the attributes of all elements of a kind."""
        return (attributes for name, attributes in self.elements if name == tag)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two suites, one with maps."""
    return made_run(tmp_path_factory.mktemp("runs") / "run", suites=("qa", "passkey"), contexts=12)


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    """The page of that run."""
    return make_page(read_rows([run], answers=True))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    """That page, parsed."""
    return Page(text)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which whatever somebody else writes is an attack."""
    texts = dict.fromkeys(("answer", "sample_id", "kind", "model", "notice"), HOSTILE)
    folder = tmp_path_factory.mktemp("runs") / "hostile"
    changes = {**texts, "targets": (HOSTILE,)}
    return made_run(folder, suites=("qa",), contexts=1, changes=changes, run=HOSTILE_RUN)


def verdicts_of(run: Path, suite: str) -> list[Verdict]:
    """Return the verdict on a suite of a run."""
    rows = read_rows([run])
    return [one for one in verdicts(rows, sections_of(rows)) if one.suite == suite]


def data_of(page: Page) -> dict[str, Any]:
    """Return the samples of a page as its script reads them."""
    found: dict[str, Any] = json.loads(page.scripts[0])
    return found


def test_the_tables_are_those_of_the_report(run: Path, page: Page) -> None:
    """Every table of the first suite stands on the page, cell by cell."""
    for table in section_tables(sections(run)[0], brief=False):
        assert page.tables[table.title] == [list(table.header), *map(list, table.rows)]


def test_the_figures_are_those_of_the_csv(run: Path, page: Page) -> None:
    """The mean of each backend, added up from the file by hand."""
    with (run / "records.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["suite"] == "qa"]
    header, *cells = page.tables["Answers"]
    assert header[:2] in (["backend", "f1"], ["backend", "exact_match"])
    for backend, shown, *others in cells:
        n = others[header.index("n") - 2]
        scores = [float(row[header[1]]) for row in rows if row["backend"] == backend]
        assert shown.startswith(f"{fmean(scores):.2f} [")
        assert int(n) == len(scores) == 24
    assert [backend for backend, *_ in cells] == list(BACKENDS)


def test_the_first_screen_is_the_verdict(run: Path, text: str, page: Page) -> None:
    """Which way to choose and what each is worth stand before any picture; the rest is folded."""
    order = ("Quality matters most", "What each way is worth", "<svg", "How it was run</h2>")
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    rows = read_rows([run])
    (verdict, *_) = verdicts(rows, sections_of(rows))
    (card,) = (rows for name, rows in page.tables.items() if name.startswith("What each way"))
    assert [row[0].split("\xa0")[1] for row in card[1:]] == [way.backend for way in verdict.ways]
    assert [row[-1] for row in card[1:]] == [str(way.against) for way in verdict.ways]
    assert "closed_book" not in {row[0].split("\xa0")[1] for row in card[1:]}
    assert not [a for tag, a in page.elements if tag == "details" and "open" in a]


def test_the_best_of_a_column_is_marked(page: Page, run: Path) -> None:
    """The highest quality, the least memory and time; nothing that failed a check."""
    cells = [a for tag, a in page.elements if tag == "td" and a.get("class") == "best"]
    best = [cell["data-name"] for cell in cells if "data-name" in cell]  # of the scorecard
    (verdict,) = verdicts_of(run, "qa")
    assert set(best) == {verdict.metric, "exact_match", "memory", "1 question", "10 questions"}
    found = best_ways(verdict)
    assert found["memory"] == {min(verdict.ways, key=lambda way: way.held_bytes).backend}
    assert max(verdict.ways, key=lambda way: way.quality.mean).backend in found["quality"]


def test_nothing_can_be_told_apart_never_stands_above_a_difference(tmp_path: Path) -> None:
    """Whatever pairs the words are about: a difference on the scorecard is a difference."""
    other = scored("rag", [[0.0]] * 30) + scored("full", [[1.0]] * 30)
    rows = other + scored("gist", [[float(n % 2)] for n in range(30)])
    for chosen in (other, rows):
        folder = write_run(tmp_path / str(len(chosen)), chosen)
        text = make_page(read_rows([folder], answers=True))
        assert "loses 1.00" in text
        assert "No backends can be told apart" not in text


def test_the_page_asks_for_nothing(text: str, page: Page) -> None:
    """No address but its own anchors, a policy that forbids the rest, and one script: its own."""
    for _, attributes in page.elements:
        for name in ("src", "href", "action", "data", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:,"))
        assert not [name for name in attributes if name.startswith("on")]
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    (policy,) = (m["content"] for m in page.named("meta") if "http-equiv" in m)
    own = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{own}';" in policy


def test_the_page_is_well_formed(text: str, page: Page) -> None:
    """All elements are closed, ids are unique, and what refers to one finds it."""
    assert page.unclosed == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    wanted = {name for _, a in page.elements for name in a.get("aria-labelledby", "").split()}
    wanted |= {a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert wanted <= set(ids)


def test_pictures_and_tables_can_be_read_without_eyes_or_mouse(text: str, page: Page) -> None:
    """Captions, scopes, names, labels, and buttons that are buttons."""
    tables = text.count("<table")
    assert tables == text.count("<caption>") > 20
    assert all(th.get("scope") in ("col", "row") for th in page.named("th"))
    svgs = list(page.named("svg"))
    assert len(svgs) > 20
    assert all(svg["role"] == "img" and svg["aria-labelledby"] for svg in svgs)
    assert all(button["type"] == "button" for button in page.named("button"))
    assert text.count("<button") == 2
    controls = [a["id"] for tag, a in page.elements if tag in ("input", "select")]
    assert len(controls) == text.count("<label>") == 5
    scrolled = [a for _, a in page.elements if a.get("class") == "scroll"]
    assert len(scrolled) == tables
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolled)


def test_hostile_texts_stay_texts(hostile: Path) -> None:
    """Nothing of them becomes an element, and the samples have them letter by letter."""
    text = make_page(read_rows([hostile], answers=True))
    page = Page(text)
    assert len(page.scripts) == 2
    assert not list(page.named("img"))
    assert not list(page.named("b"))
    assert "{{ 7*7 }}" in text  # and not 49
    (first, *_) = data_of(page)["items"]
    assert first["targets"] == [HOSTILE]
    assert {answer for _, _, answer, _ in first["answers"]} == {HOSTILE}
    assert "</" not in page.scripts[0]
    assert "\u2028" not in page.scripts[0]


def test_a_hostile_name_of_a_backend_stays_a_name(tmp_path: Path) -> None:
    """Backends stand in pictures, tables and samples."""
    folder = made_run(tmp_path / "run", suites=("qa",), contexts=6)
    file = folder / "records.csv"
    evil = "<img src=x onerror=alert(1)></script>"
    file.write_text(file.read_text(encoding="utf-8").replace(",rag,", f",{evil},"), "utf-8")
    page = Page(make_page(read_rows([folder], answers=True)))
    assert evil in data_of(page)["backends"]
    assert not list(page.named("img"))
    assert evil in [row[0] for row in page.tables["Answers"]]


def test_what_cannot_be_shown_says_why(tmp_path: Path) -> None:
    """A run of costs has no maps, no samples and no abstentions, and says what to run."""
    folder = made_run(tmp_path / "run", suites=("qa",), changes=COSTS_ONLY, run=None)
    text = make_page(read_rows([folder], answers=True))
    assert text.count("<p>Not shown.") == 6
    assert "run --suite passkey" in text
    assert "the folder has no run.json" in text
    assert "Parts of the time" in text


def test_how_it_was_run_is_shown(page: Page) -> None:
    """Command, device, seed and versions stand in the table of the run."""
    shown = dict(page.tables["Run run"][1:])
    assert shown["command"] == "gist-bench run"
    assert (shown["device"], shown["seed"], shown["python"]) == ("cpu", "3", "3.12")


def test_disagreements_come_first_and_the_page_says_how_many(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for few questions, it is those on which backends differ, and the page says so."""
    rows = read_rows([run], answers=True)
    found = sections_of(rows)
    everything = samples.samples(found)
    assert len(everything.items) == 2 * 24
    assert everything.counts[0] == "qa: 24 of 24 questions"
    monkeypatch.setattr(samples, "MAX_QUESTIONS", 12)
    few = samples.samples(found)
    assert len(few.items) == 12
    assert all(item["disagree"] for item in few.items)
    assert "6 of the" in few.counts[0]
    assert "the rest is in records.csv" in few.counts[0]


def test_a_sample_has_the_answers_scores_and_errors_of_all_backends(tmp_path: Path) -> None:
    """As the backends gave them; long ones say how much is missing."""
    rag_fails = {
        "error": "out_of_memory",
        "notice": "needs 3 GiB",
        **dict.fromkeys(("answer", "f1", "exact_match", "evidence_recall", "new_tokens")),
    }
    made = [
        {**row, **(rag_fails if backend == "rag" else {"answer": "x" * 5000})}
        for backend in BACKENDS
        for row in rows_of("qa", backend, 2)
    ]
    rows = read_rows([write_run(tmp_path / "run", made)], answers=True)
    found = samples.samples(sections_of(rows))
    first = found.items[0]
    assert first["name"] == "qa-0 / q0"
    assert first["slices"] == "kind=count"
    assert [answer[0] for answer in first["answers"]] == [0, 1, 2, 3, 4]
    failures = {"out_of_memory: needs 3 GiB": 1, "": 4}
    assert Counter(failed for _, _, _, failed in first["answers"]) == failures
    for _, _, answer, failed in first["answers"]:
        assert answer.startswith("xxx") != bool(failed)
        assert ("3,500 letters more" in answer) != bool(failed)


def test_the_command_writes_the_page(tmp_path: Path, run: Path) -> None:
    """--html writes one file and prints no tables; --markdown prints them all the same."""
    file = tmp_path / "new" / "report.html"
    small = made_run(tmp_path / "run", suites=("qa",), changes=COSTS_ONLY)
    done = CliRunner().invoke(command, [str(small), "--html", str(file)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    both = CliRunner().invoke(command, [str(small), "--html", str(file), "--markdown"])
    assert "**Costs" in both.stdout
    assert run.is_dir()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--html", "page.html"], "no such file or folder"),
        (["run", "--html", "."], "is a folder"),
        (["--update", "README.md", "--html", "page.html"], "not with --update"),
    ],
)
def test_mistakes_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    """One line says what is wrong, and no page is begun."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, arguments)
    message = str(done.exception) if isinstance(done.exception, UserError) else done.output
    assert done.exit_code
    assert words in message
    assert list(tmp_path.iterdir()) == []


# What follows needs a Chromium: one on the path, or the program that $CHROMIUM names.


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser, if this machine has one."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine: install one, or set CHROMIUM")
    with browser(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, text: str) -> Path:
    """The page as a file."""
    written = tmp_path_factory.mktemp("page") / "report.html"
    written.write_text(text, encoding="utf-8")
    return written


def test_the_browser_shows_it_without_complaint_or_request(
    chromium: Browser, file: Path, run: Path
) -> None:
    """No message in the console, no address but the file's own, and the table of the CSV."""
    chromium.open(file)
    shown = chromium.run(
        "[...[...document.querySelectorAll('table')]"
        ".find(t => t.caption.textContent === 'Answers').rows]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    table: Table = next(section_tables(sections(run)[0], brief=True))
    assert shown == [list(table.header), *map(list, table.rows)]
    assert chromium.complaints() == []
    assert chromium.requests() == [file.resolve().as_uri()]


def test_the_policy_stops_what_would_call_home(chromium: Browser, file: Path) -> None:
    """The check above can fail: a planted picture is refused, and the console says so."""
    chromium.open(file)
    chromium.run("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x'}))")
    chromium.run("new Promise(done => setTimeout(done, 50))")
    assert "Content Security Policy" in json.dumps(chromium.complaints())


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_screen(chromium: Browser, file: Path, width: int, dark: bool) -> None:
    """Wide tables scroll inside themselves, the page does not; ink and paper follow the scheme."""
    chromium.open(file, width=width, dark=dark)
    assert chromium.run("document.documentElement.scrollWidth") <= width
    paper = chromium.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 3 * 128) == dark


def test_samples_are_filtered_paged_and_few_in_the_document(chromium: Browser, file: Path) -> None:
    """By suite, by text, by disagreement; never more than one page of them is in the document."""
    chromium.open(file)
    items = "document.querySelectorAll('.item').length"
    status = "document.getElementById('status').textContent"
    assert (chromium.run(items), chromium.run(status)) == (10, "1 to 10 of 48")
    chromium.run("document.getElementById('after').click()")
    assert (chromium.run(items), chromium.run(status)) == (10, "11 to 20 of 48")
    chromium.run(
        "(s => { s.value = '0'; s.dispatchEvent(new Event('change')) })"
        "(document.getElementById('suite'))"
    )
    assert chromium.run(status) == "1 to 10 of 24"
    chromium.run("document.getElementById('search').focus()")
    chromium.ask("Input.insertText", text="GIST to 7.1")
    assert (chromium.run(items), chromium.run(status)) == (1, "1 to 1 of 1")
    answers = chromium.run("[...document.querySelectorAll('.item dt')].map(e => e.textContent)")
    assert [answer.strip() for answer in answers] == list(BACKENDS)
    chromium.ask("Input.insertText", text=" no such thing")
    assert (chromium.run(items), chromium.run(status)) == (
        0,
        "No question matches. Remove a filter.",
    )


def test_hostile_answers_are_shown_as_they_are(
    chromium: Browser, hostile: Path, tmp_path: Path
) -> None:
    """Letter by letter, in their own direction, with nothing run and nothing loaded."""
    file = tmp_path / "hostile.html"
    file.write_text(make_page(read_rows([hostile], answers=True)), encoding="utf-8")
    chromium.open(file)
    shown = chromium.run("document.querySelector('.item dd[dir=auto]').textContent")
    assert shown == HOSTILE
    isolated = "getComputedStyle(document.querySelector('.item dd[dir=auto]')).unicodeBidi"
    assert chromium.run(isolated) in ("isolate", "plaintext")
    assert chromium.run("document.images.length") == 0
    assert chromium.complaints() == []
    assert len(chromium.requests()) == 1


def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    chromium: Browser, file: Path
) -> None:
    """Tab goes to the link past the head first; what has the focus has an outline."""
    chromium.open(file)
    chromium.press("Tab", code=9)
    here = "document.activeElement"
    assert chromium.run(f"{here}.textContent") == "To the verdict"
    assert chromium.run(f"getComputedStyle({here}).outlineStyle") == "solid"
    chromium.run("document.getElementById('disagree').focus()")
    chromium.press("Tab", code=9)  # past `Previous`, which has no page to go to
    assert chromium.run(f"{here}.id") == "after"
    chromium.press("Enter", code=13, text="\r")
    assert "11 to 20" in chromium.run("document.getElementById('status').textContent")
    assert chromium.run(f"{here}.id") == "after"


def test_paper_gets_the_verdicts_and_no_controls(chromium: Browser, file: Path) -> None:
    """In print all verdicts are open, nothing is shown that can only be clicked: few pages."""
    chromium.open(file, media="print", dark=True)
    for selector in ("nav", "#controls", ".chapter"):
        style = f"getComputedStyle(document.querySelector('{selector}')).display"
        assert chromium.run(style) == "none", selector
    chromium.run("dispatchEvent(new Event('beforeprint'))")
    assert chromium.run("document.querySelectorAll('.suite:not([open])').length") == 0
    chromium.run("dispatchEvent(new Event('afterprint'))")
    assert chromium.run("document.querySelectorAll('details[open]').length") == 0
    printed = base64.b64decode(chromium.ask("Page.printToPDF")["data"])
    assert 1 <= len(re.findall(rb"/Type /Page\b", printed)) <= 8


def test_a_link_to_a_fold_opens_it(chromium: Browser, file: Path) -> None:
    """Whoever follows the navigation sees what it names."""
    chromium.open(file)
    chromium.run("document.querySelector('nav a[href=\"#tables\"]').click()")
    chromium.run("new Promise(done => setTimeout(done, 50))")
    assert chromium.run("document.getElementById('tables').open")
