"""Records: what is written can be read back, and a torn file is mended."""

import csv
import json
from pathlib import Path

import pytest

from harness.api import Question
from harness.errors import UserError
from harness.run.records import (
    FIXED,
    Cell,
    Key,
    Records,
    columns,
    evidence_recall,
    recover,
    unescaped,
)
from harness.run.rows import read_rows
from tests.support.rows import frame_of

HEADER = columns(["kind", "tokens"], ["f1", "exact_match"])


def row(sample: str, question: str, **cells: Cell) -> dict[str, Cell]:
    """Return a row with the cells that name it."""
    names = {"suite": "s", "backend": "b", "sample_id": sample, "question_id": question}
    return {**names, **cells}


def write(path: Path, *samples: list[dict[str, Cell]]) -> None:
    """Write the rows of each sample."""
    path.parent.mkdir(exist_ok=True)
    records = Records(path, HEADER)
    for rows in samples:
        records.append(rows)
    records.close()


def read(path: Path) -> list[dict[str, str]]:
    """Read the records as anybody would."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_slices_and_metrics_stand_between_the_fixed_columns() -> None:
    """Slices follow the question, metrics follow the costs, each sorted."""
    assert HEADER[:7] == (
        "suite", "backend", "model", "sample_id", "question_id", "kind", "tokens",
    )  # fmt: skip
    place = HEADER.index("memory_kind")
    assert HEADER[place + 1 : place + 4] == ("exact_match", "f1", "evidence_recall")
    assert set(HEADER) - FIXED == {"kind", "tokens", "f1", "exact_match"}


def test_an_unknown_value_is_an_empty_cell(tmp_path: Path) -> None:
    """None and a missing key are empty; zero and an empty list are not."""
    write(tmp_path / "r.csv", [row("1", "a", f1=0.0, new_tokens=0, generate_s=None, targets=())])
    (found,) = read(tmp_path / "r.csv")
    cells = {name: found[name] for name in ("f1", "new_tokens", "generate_s", "answer", "targets")}
    assert cells == {"f1": "0", "new_tokens": "0", "generate_s": "", "answer": "", "targets": "[]"}


@pytest.mark.parametrize("text", ["a\nb\r\nc\td", 'comma, "quote"', "\\n", "\0", "é 🙂", "\ud800"])
def test_one_row_is_one_line(tmp_path: Path, text: str) -> None:
    """Whatever an answer holds, its row is one line that reads back as one row."""
    path = tmp_path / "r.csv"
    write(path, [row("1", "a", answer=text, evidence=(text, "x\ny"))])
    assert path.read_bytes().count(b"\n") == 2
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    (found,) = read(path)
    assert json.loads(found["evidence"])[1] == "x\ny"
    if text == "\\n":
        assert found["answer"] == "\\\\n"


def test_opening_again_adds_rows(tmp_path: Path) -> None:
    """A second opening writes no second header and loses nothing."""
    path = tmp_path / "r.csv"
    write(path, [row("1", "a")])
    write(path, [row("2", "a")])
    assert [found["sample_id"] for found in read(path)] == ["1", "2"]


QUESTIONS = {Key("s", "b", "1"): 2, Key("s", "b", "2"): 2}
FIRST = [row("1", "a", error=None), row("1", "b", answer="x" * 200_000)]
SECOND = [row("2", "a", error="out_of_memory"), row("2", "b", error="out_of_memory")]


def test_a_whole_file_is_left_as_it_is(tmp_path: Path) -> None:
    """Mending an undamaged file changes no byte and returns all samples with their errors."""
    path = tmp_path / "r.csv"
    write(path, FIRST, SECOND)
    before = path.read_bytes()
    finished = recover(path, HEADER, QUESTIONS)
    assert finished == {Key("s", "b", "1"): "", Key("s", "b", "2"): "out_of_memory"}
    assert path.read_bytes() == before


def test_any_cut_leaves_whole_samples(tmp_path: Path) -> None:
    """Wherever a kill cuts the file, mending leaves whole samples and nothing else."""
    path = tmp_path / "r.csv"
    short = [row("1", "a"), row("1", "b")]
    write(path, short)
    one = path.read_bytes()
    write(path, SECOND)
    both = path.read_bytes()
    for cut in range(len(both) + 1):
        path.write_bytes(both[:cut])
        finished = recover(path, HEADER, QUESTIONS)
        assert len(finished) == (cut >= len(one)) + (cut >= len(both))
        kept = path.read_bytes()
        assert kept in (b"", both[: both.index(b"\n") + 1], one, both)
        assert len(kept) <= max(cut, both.index(b"\n") + 1)


def test_a_line_of_zeros_is_dropped(tmp_path: Path) -> None:
    """A power cut can leave a line of zero bytes; its sample is done again."""
    path = tmp_path / "r.csv"
    write(path, FIRST)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 300 + b"\n" + b"\xff\n")
    assert set(recover(path, HEADER, QUESTIONS)) == {Key("s", "b", "1")}
    assert path.read_bytes() == whole


def test_a_file_with_another_header_is_refused(tmp_path: Path) -> None:
    """Nothing is dropped from a file that another program has rewritten."""
    path = tmp_path / "r.csv"
    write(path, FIRST)
    changed = path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(changed)
    with pytest.raises(UserError, match="--restart"):
        recover(path, HEADER, QUESTIONS)
    assert path.read_bytes() == changed


def test_a_missing_file_has_no_finished_samples(tmp_path: Path) -> None:
    """A run that never wrote a row starts from nothing."""
    assert recover(tmp_path / "r.csv", HEADER, QUESTIONS) == {}


def test_evidence_recall_is_the_share_of_support_found() -> None:
    """Support counts as found inside any passage, whatever the white space between words."""
    question = Question("q", "?", ("x",), support=("Ann is a baker.", "Bo is 7."))
    assert evidence_recall(question, ["So Ann  is a\nbaker. Yes."]) == 0.5
    assert evidence_recall(question, ["Ann is a baker.", "Bo is 7."]) == 1.0
    assert evidence_recall(question, []) is None
    assert evidence_recall(Question("q", "?", ("x",)), ["Ann is a baker."]) is None


FORMULAS = ["=1+1", "+5", "-5", "@SUM(A1)", "=cmd|' /C calc'!A0", "\uff1d1", "\t=1", "-", "\\=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_is_a_formula_in_a_spreadsheet(tmp_path: Path, text: str) -> None:
    """Ids, slices, answers and words begin with a backslash there, and read back as they were."""
    names = ("sample_id", "question_id", "kind", "question", "answer", "error", "notice")
    write(tmp_path / "r.csv", [row("1", "a") | dict.fromkeys((*names, "batch_id"), text)])
    (found,) = read(tmp_path / "r.csv")
    assert {found[name][0] for name in (*names, "batch_id")} == {"\\"}
    assert {unescaped(found[name]) for name in names} == {text}


def test_numbers_stay_numbers_in_a_spreadsheet(tmp_path: Path) -> None:
    """A score below zero is no formula, even if it was read as text."""
    write(tmp_path / "r.csv", [row("1", "a", f1="-0.5", exact_match=-1.0, generate_s=1e-7)])
    (found,) = read(tmp_path / "r.csv")
    assert (found["f1"], found["exact_match"], found["generate_s"]) == ("-0.5", "-1", "1e-07")


def test_rows_of_earlier_versions_are_resumed(tmp_path: Path) -> None:
    """Their signs are not escaped, and their samples are finished all the same."""
    path = tmp_path / "r.csv"
    write(path, [row("=1", "a", answer="=2")])
    path.write_bytes(path.read_bytes().replace(b"\\=", b"="))
    before = path.read_bytes()
    assert recover(path, HEADER, {Key("s", "b", "=1"): 1}) == {Key("s", "b", "=1"): ""}
    assert path.read_bytes() == before


def test_reports_show_ids_and_slices_as_they_were(tmp_path: Path) -> None:
    """The sign that a spreadsheet needs is not in a table, be the run old or new."""
    names = {"suite": "qa", "backend": "full", "model": "@org/m", "sample_id": "=1"}
    rows = [{**names, "question_id": "-1", "kind": "+a", "f1": 1.0}]
    for name in ("new", "old"):
        write(tmp_path / name / "records.csv", rows)
    old = tmp_path / "old" / "records.csv"
    old.write_bytes(old.read_bytes().replace(b"\\", b""))
    for name in ("new", "old"):
        (read_back,) = frame_of(read_rows([tmp_path / name])).to_dict("records")
        shown = [read_back[column] for column in ("model", "sample_id", "question_id", "kind")]
        assert shown == ["@org/m", "=1", "-1", "+a"]
