"""A judge adds a column beside the metrics, is paid for once, and never becomes the headline."""

import csv
import json
from pathlib import Path

import numpy as np
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
    assert "Cohen's kappa: 0.67 [" in " ".join(report.split())
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
    contexts = np.arange(200)
    for share in (0.1, 0.5, 0.9):
        one = rng.random(200) < share
        other = one ^ (rng.random(200) < 0.2)
        found = cohens_kappa(one, other, contexts)
        assert found
        assert found.mean == pytest.approx(cohen_kappa_score(one, other))
    constant = np.array([True, True])
    assert cohens_kappa(constant, np.array([True, False]), contexts[:2]) is None


def test_kappa_has_an_interval_over_contexts() -> None:
    """Wider where answers of a context are alike, none for few contexts, and never of width 0."""
    rng = np.random.default_rng(1)
    one = rng.random(60) < 0.5
    other = one ^ (rng.random(60) < 0.2)
    apart = cohens_kappa(one, other, np.arange(60))
    alike = cohens_kappa(one.repeat(4), other.repeat(4), np.arange(60).repeat(4))
    assert apart
    assert alike
    bounds = pytest.approx((apart.mean, apart.low, apart.high))
    assert (alike.mean, alike.low, alike.high) == bounds
    assert apart.low is not None
    assert apart.high is not None
    assert 0.2 < apart.low < apart.mean < apart.high < 1
    few = cohens_kappa(one[:4].repeat(9), other[:4].repeat(9), np.arange(4).repeat(9))
    assert few is None or few.low is None
    same = cohens_kappa(one, one, np.arange(60))
    assert same
    assert same.low is not None
    assert 0.7 < same.low < same.mean == same.high == 1.0


def test_the_interval_of_kappa_holds_what_it_should() -> None:
    """About 95 of 100 times, with 40 contexts of three answers that go together."""
    rng = np.random.default_rng(2)
    truth = (0.84 - 0.5) / 0.5  # 0.5 right, 0.16 of the contexts judged the other way round
    held = []
    for _ in range(200):
        one = (rng.random(40) < 0.5).repeat(3)
        other = one ^ (rng.random(40) < 0.16).repeat(3)
        found = cohens_kappa(one, other, np.arange(40).repeat(3))
        assert found
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.92
