"""Records in the files of other tools, and back."""

import csv
import json
from pathlib import Path

import pytest

from harness.run.records import Cell, Records, columns
from tests.support.commands import GistBench

ANSWERS = ["Ada, he said", "=1+1", "not in the text", "two\nlines \\ \u00e9"]


def made_run(folder: Path) -> Path:
    """Write a run with two backends, two samples, and answers that are hard to carry."""
    folder.mkdir()
    records = Records(folder / "records.csv", columns(["kind"], ["f1", "exact_match"]))
    for backend in ("full", "gist,ratio=8"):
        rows: list[dict[str, Cell]] = [
            {
                "suite": "qa",
                "backend": backend,
                "model": "org/m",
                "sample_id": f"s{n // 2}",
                "question_id": f"q{n}",
                "question": f"Which {n}?",
                "max_new_tokens": 32,
                "f1": n / 4,
                "exact_match": 0.0,
                "answer": answer,
                "targets": () if n == 2 else ("Ada\xa0B", "it's"),
            }
            for n, answer in enumerate(ANSWERS)
        ]
        of_answers = {"f1": None, "exact_match": None, "answer": None}
        failed = {**rows[0], **of_answers, "question_id": "q9", "error": "out_of_memory"}
        records.append([*rows, failed])
    records.close()
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a run folder."""
    with (folder / "records.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("tool", ["kvpress", "lm-eval"])
def test_what_is_exported_is_imported_as_it_was(
    gist_bench: GistBench, tmp_path: Path, tool: str
) -> None:
    """Answers, targets, samples, backends and model come back; lm-eval's files hold the scores."""
    run = made_run(tmp_path / "run")
    code, out, _ = gist_bench("export", run, "--to", tool, "-o", tmp_path / "out")
    assert code == 0
    before = [row for row in rows_of(run) if not row["error"]]
    back: list[dict[str, str]] = []
    for number, path in enumerate(out.split()):
        assert gist_bench("import", tool, path, "-o", tmp_path / f"back{number}")[0] == 0
        back += rows_of(tmp_path / f"back{number}")
    names = ["backend", "model", "sample_id", "max_new_tokens", "answer", "targets"]
    names += ["f1", "exact_match", "suite"] if tool == "lm-eval" else []
    assert [[row[name] for name in names] for row in back] == [
        [row[name] for name in names] for row in before
    ]
    code, _, err = gist_bench("export", run, "--to", tool, "-o", tmp_path / "out")
    assert (code, "exists. Give another folder" in err) == (2, True)


def test_exported_samples_are_as_lm_eval_writes_them(gist_bench: GistBench, tmp_path: Path) -> None:
    """The fields that its own readers want are there."""
    _, out, _ = gist_bench(
        "export", made_run(tmp_path / "run"), "--to", "lm-eval", "-o", tmp_path / "out"
    )
    first = json.loads(Path(out.split()[0]).read_text(encoding="utf-8").splitlines()[0])
    wanted = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter"}
    assert wanted <= set(first)
    assert first["metrics"] == ["exact_match", "f1"]
