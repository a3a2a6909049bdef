"""A judge adds a column beside the metrics, is paid for once, and never becomes the headline."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from harness.report.agreement import cohens_kappa
from harness.served.judge import verdict
from tests.support.commands import GistBench
from tests.support.rows import row, write_run
from tests.support.stub_server import Fault, serve

ASKED = "Who wrote {it}, and when?"
ANSWERS = ("Ada", "it was Ada {answer}", "Bob", "<think>Ada?</think>Bob", "not in the text", "Ada")


def made(folder: Path) -> Path:
    """Return a run with four answers about one question and two about one without an answer."""
    rows = [
        row(
            sample=number,
            f1=1.0 if answer in ("Ada", "not in the text") else 0.0,
            targets=("Ada", "Ada Byron") if number < 4 else (),
            answer=answer,
        )
        | {"question": ASKED if number < 4 else "Why?"}
        for number, answer in enumerate(ANSWERS)
    ]
    return write_run(folder, [*rows, row(sample=9, error="context_too_long")], {})


def cells(folder: Path, name: str) -> list[str]:
    """Return a column."""
    with (folder / "records.csv").open(newline="", encoding="utf-8") as file:
        return [line[name] for line in csv.DictReader(file)]


def test_verdicts_are_a_column_and_the_headline_stays(
    gist_bench: GistBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model and prompt are in run.json; the report has kappa against the headline."""
    monkeypatch.setenv("COLUMNS", "200")  # a narrow table would be printed in two parts
    old, new = made(tmp_path / "old"), tmp_path / "new"
    with serve() as stub:
        done = gist_bench("rescore", old, "-o", new, "--judge", stub.teacher)
        assert done.code == 0, done.err
        assert {body["messages"][0]["content"].count("Why?") for body in stub.asked} == {0, 1}
    assert cells(new, "judged") == ["1", "1", "0", "0", "1", "0", ""]
    judge = json.loads((new / "run.json").read_text())["configuration"]["judge"]
    assert judge["model"] == stub.teacher
    assert "Reply with yes or no" in judge["prompt"]
    assert f"judged: 6 answers were shown to {stub.teacher}." in done.err
    report = gist_bench("report", new).out
    assert "judged" in report
    assert "agrees with f1 (right from 0.5 on) in 0.83 of 6 answers" in " ".join(report.split())
    assert "Cohen's kappa: 0.67" in " ".join(report.split())
    header = next(line for line in report.splitlines() if "backend" in line and "judged" in line)
    assert header.index("f1") < header.index("judged")
    assert "judged" in gist_bench("report", new, "--headline", "judged").out


def test_a_stopped_judge_is_asked_for_the_rest_alone(gist_bench: GistBench, tmp_path: Path) -> None:
    """Nothing is written before all verdicts are there, and the same answer is judged once."""
    old, new = made(tmp_path / "old"), tmp_path / "new"
    words = ("rescore", old, "-o", new, "--judge")
    with serve([Fault(), Fault(), Fault(), Fault(status=400, body="no")]) as stub:
        assert gist_bench(*words, stub.teacher).code == 2
        assert not new.exists()
        assert gist_bench(*words, stub.teacher).code == 0
        sent = [body["messages"][0]["content"] for body in stub.asked]
    assert len(set(sent)) == 5  # Bob with and without a thought is one answer
    assert len(sent) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


def test_a_reply_that_is_no_verdict_is_an_empty_cell(gist_bench: GistBench, tmp_path: Path) -> None:
    """It is counted, never 0."""
    old, new = made(tmp_path / "old"), tmp_path / "new"
    with serve([Fault(content="Perhaps, yes.") for _ in ANSWERS]) as stub:
        done = gist_bench("rescore", old, "-o", new, "--judge", stub.teacher)
    assert cells(new, "judged") == [""] * 7
    assert "6 of them without a verdict" in done.err


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Yes", 1.0),
        (" **no**, it is", 0.0),
        ("<think>yes</think>\nNo.", 0.0),
        ("nothing", None),
        ("", None),
    ],
)
def test_a_verdict_is_the_first_word(reply: str, expected: float | None) -> None:
    """Behind thoughts and marks."""
    assert verdict(reply) == expected


def test_kappa_is_that_of_scikit_learn() -> None:
    """On drawn verdicts; where a side is constant it is not defined."""
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        one = pd.Series(rng.random(200) < share)
        other = one ^ pd.Series(rng.random(200) < 0.2)
        assert cohens_kappa(one, other) == pytest.approx(cohen_kappa_score(one, other))
    assert cohens_kappa(pd.Series([True, True]), pd.Series([True, False])) is None
