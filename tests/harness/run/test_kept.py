"""Rows are read in pieces and kept on disk: what is read does not depend on either."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.errors import UserError
from harness.report.render import render
from harness.run import parsing
from harness.run.rows import read_rows
from tests.support.made_run import made_run
from tests.support.rows import frame_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 240 rows, all backends of three suites."""
    return made_run(tmp_path / "run", contexts=8)


@pytest.fixture(params=[7, 50_000])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read in pieces of 7, or all at once."""
    monkeypatch.setattr(parsing, "PIECE", request.param)


def test_a_report_does_not_depend_on_the_pieces(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a piece ends, within a sample or between two suites, is seen nowhere."""
    whole, frame = render([run], markdown=True), frame_of(read_rows([run], answers=True))
    monkeypatch.setattr(parsing, "PIECE", 7)
    assert render([run], markdown=True) == whole
    pd.testing.assert_frame_equal(frame_of(read_rows([run], answers=True)), frame)


@pytest.mark.usefixtures("_pieces")
def test_columns_are_those_of_the_data_frame(run: Path) -> None:
    """Of a suite, of some backends in any order, and of the rows that pass a test."""
    rows = read_rows([run])
    frame, part = frame_of(rows), next(iter(rows.parts.values()))
    columns = ["sample_id", "context", "question", "run", "setup", "prepare_s", "first_token_s"]
    for backends in (("full",), ("rag", "full"), ("nobody",)):
        for least in (0, 5):
            kept = part.of(*backends).where("context", lambda numbers, least=least: numbers > least)
            own = frame[(frame["suite"] == "qa") & frame["backend"].isin(backends)]
            own = own[own["context"] > least].reset_index(drop=True)
            own = own.reindex(columns=columns)
            shown = kept[columns]
            assert len(kept) == len(own) == len(shown)
            if len(own):
                pd.testing.assert_frame_equal(shown, own)
            assert list(shown.columns) == columns
            assert kept.backends == [name for name in ("full", "rag") if name in backends]
        pairs = part.of(*backends).distinct(["backend", "kind"])
        own = frame[(frame["suite"] == "qa") & frame["backend"].isin(backends)]
        wanted = own[["backend", "kind"]].drop_duplicates().reset_index(drop=True)
        assert pairs.to_dict("list") == wanted.to_dict("list")
    assert not part.has("first_token_s")  # a column that this run does not have
    assert part.has("prepare_s")


@pytest.mark.usefixtures("_pieces")
def test_a_few_rows_are_those_at_their_places(run: Path) -> None:
    """In the order that is asked for, whatever the pieces; texts that are equal have one hash."""
    part = next(iter(read_rows([run], answers=True).parts.values()))
    columns = ["sample_id", "answer", "context"]
    whole = part[columns]
    for places in ([], [3], [40, 0, 7, 8, len(part) - 1]):
        found = part.at(columns, np.array(places, int))
        pd.testing.assert_frame_equal(
            found.reset_index(drop=True), whole.iloc[places].reset_index(drop=True)
        )
    hashes = part.hashes("sample_id")
    assert [*pd.factorize(hashes)[0]] == [*pd.factorize(whole["sample_id"])[0]]
    assert (
        len(part.of("nobody").hashes("answer"))
        == len(part.of("nobody").at(columns, np.array([], int)))
        == 0
    )


@pytest.mark.usefixtures("_pieces")
def test_a_mistake_is_named_by_its_line(run: Path) -> None:
    """Whatever the piece that it is in; what comes before it is not reported."""
    lines = (run / "records.csv").read_text(encoding="utf-8").splitlines()
    for line, wrong, said in (
        (30, lambda text: text.replace(",512,", ",five,", 1), "line 30: 'five' in column"),
        (75, lambda text: text.replace(",512,", ",-3,", 1), "line 75: -3 in column"),
    ):
        changed = [*lines[: line - 1], wrong(lines[line - 1]), *lines[line:]]
        (run / "records.csv").write_text("\n".join(changed) + "\n", encoding="utf-8")
        with pytest.raises(UserError) as refused:
            read_rows([run])
        assert said in str(refused.value)


@pytest.mark.usefixtures("_pieces")
def test_a_torn_row_is_left_out(run: Path) -> None:
    """A run that is being written ends anywhere in a row."""
    text = (run / "records.csv").read_text(encoding="utf-8")
    whole = frame_of(read_rows([run]))
    for cut in (1, 40, 200):
        (run / "records.csv").write_text(text[:-cut], encoding="utf-8")
        pd.testing.assert_frame_equal(frame_of(read_rows([run])), whole[:-1])


def test_rows_on_disk_have_no_name(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left behind, however a report ends: while rows are read there is no file."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    rows = read_rows([run])
    assert len(frame_of(rows)) == 240
    (run / "records.csv").write_bytes(b"suite\n")
    with pytest.raises(UserError):
        read_rows([run])
    assert not list(folder.iterdir())
