"""The suites ask a served model as they ask one that is loaded; costs show what a server keeps."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.data.dataset import SPARE_TOKENS
from harness.report.costs import measured
from harness.run import plugins
from harness.run.rows import read_rows
from tests.harness.served.test_served_run import rows_of
from tests.support.commands import GistBench
from tests.support.rows import frame_of
from tests.support.stub_server import Stub, serve


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server."""
    with serve() as running:
        yield running


def test_hidden_numbers_and_what_is_not_said_are_scored(
    gist_bench: GistBench, stub: Stub, tmp_path: Path
) -> None:
    """Passkey: found with the context alone. Hallucination: refusals count where they can be."""
    stub.usage = False  # it counts words, and the tokenizer does not
    path = tmp_path / "data.jsonl"
    questions = [
        {"id": "cup", "question": "What does the cup of Tarn cost?", "answers": ["12 euros"]},
        {"id": "none", "question": "What does Tarn cost?", "answers": []},
    ]
    line = {"id": "c", "context": "The cup of Tarn costs 12 euros.", "questions": questions}
    path.write_text(json.dumps(line))
    run = gist_bench(
        *("run", "--model", stub.teacher, "--tokenizer", "reference", "--out", tmp_path / "out"),
        *("--suite", "passkey,tokens=256,depths=0.5", "--suite", f"hallucination,data={path}"),
        *("--backend", "full", "--backend", "closed_book"),
    )
    assert run.code == 0, run.err
    rows = rows_of(tmp_path / "out")
    found = [(r["backend"], r["exact_match"]) for r in rows if r["suite"].startswith("passkey")]
    assert sorted(found) == [("closed_book", "0")] * 2 + [("full", "1")] * 2
    told = [r for r in rows if r["suite"].startswith("hall")]
    assert {(r["backend"], r["question_id"]): r["accuracy"] for r in told} == {
        ("full", "cup"): "1",
        ("full", "none"): "1",
        ("closed_book", "cup"): "0",
        ("closed_book", "none"): "1",
    }
    refused = [(r["backend"], r["false_refusal"]) for r in told if r["question_id"] == "cup"]
    assert refused == [("full", "0"), ("closed_book", "1")]


def test_long_answers_need_no_tokenizer(gist_bench: GistBench, stub: Stub, tmp_path: Path) -> None:
    """They are given room for as many tokens as they have bytes, which is said."""
    path, answer = tmp_path / "data.jsonl", "ä" * 100
    asked = [{"id": "1", "question": "What?", "answers": [answer]}]
    path.write_text(json.dumps({"id": "c", "context": "None.", "questions": asked}))
    run = gist_bench(
        *("run", "--model", stub.teacher, "--suite", f"qa,data={path}", "--backend", "full"),
        *("--out", tmp_path / "out"),
    )
    assert run.code == 0, run.err
    assert [row["max_new_tokens"] for row in rows_of(tmp_path / "out")] == [str(200 + SPARE_TOKENS)]
    assert f"max_new_tokens is {200 + SPARE_TOKENS}" in run.err


def test_a_suite_that_nobody_named_is_left_out_without_a_tokenizer(
    gist_bench: GistBench, stub: Stub, tmp_path: Path
) -> None:
    """The others run; the line says what to give."""
    words = ("run", "--model", stub.teacher, "--backend", "closed_book", "--limit", "1")
    run = gist_bench(*words, "--out", tmp_path / "out")
    assert run.code == 0, run.err
    assert {row["suite"] for row in rows_of(tmp_path / "out")} == {"hallucination", "qa"}
    assert "without passkey, throughput, vram: this counts tokens" in run.err
    assert "--tokenizer" in run.err


def test_first_token_decode_and_asking_again_are_told_apart(
    gist_bench: GistBench, stub: Stub, tmp_path: Path
) -> None:
    """A server that reads slowly, keeps what it has read, and writes a word in 0.02 s."""
    stub.word_tokens, stub.read_s, stub.write_s = 9, 0.01, 0.02
    suite = "throughput,tokens=256,new_tokens=9,repeats=2"
    words = ("run", "--model", stub.teacher, "--tokenizer", "reference", "--suite", suite)
    run = gist_bench(*words, "--backend", "full", "--out", tmp_path / "out")
    assert run.code == 0, run.err
    costs = measured(frame_of(read_rows(list((tmp_path / "out").glob("*")))))
    assert costs.first_s > 0.3  # a context of over 30 words, of which it had read none
    assert costs.again_s < costs.first_s / 2
    assert 5 < costs.decode_rate < 75
    assert "asked again" in run.out


def test_list_shows_the_backends_of_a_served_model(gist_bench: GistBench) -> None:
    """With the names of their options, which may take a second line."""
    shown = gist_bench("list").out.partition("Backends of a served model")[2].partition("Suites")[0]
    rows = shown.replace("\n      ", " ").splitlines()
    lines = dict(row.split(maxsplit=1) for row in rows if row.startswith("  "))
    assert sorted(lines) == plugins.names(plugins.SERVED)
    assert lines["truncate"] == "tokens, ratio"
    assert lines["full"] == "no options"
