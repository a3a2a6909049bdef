"""A sweep in one report: seeds are pooled with their spread, models stand side by side."""

from pathlib import Path
from statistics import stdev

from harness.report.render import render
from tests.harness.report.test_report import parsed
from tests.support.rows import row, scored, write_run

FILE = {"options": {"data": "mine.jsonl", "filler_tokens": "none"}, "files": {"data": "abc"}}


def run_of(seed: int, **suites: object) -> dict[str, object]:
    """Return what run.json says of a run with a seed."""
    return {"configuration": {"seed": seed, "suites": suites}}


def test_seeds_are_pooled_and_their_spread_is_shown(tmp_path: Path) -> None:
    """The mean counts the contexts of all seeds; the spread is that of the seeds' means."""
    means = []
    for seed, right in enumerate((6, 9, 12)):
        scores = [[1]] * right + [[0]] * (12 - right)
        write_run(tmp_path / str(seed), scored("full", scores), run_of(seed))
        means.append(right / 12)
    text = render([tmp_path], markdown=True)
    answers = parsed(text, "Answers")["full"]
    assert answers["f1"].startswith("0.75 [")
    assert answers["contexts"] == "36"
    by_seed = parsed(text, "f1 by seed")["full"]
    assert [by_seed[f"seed {seed}"] for seed in range(3)] == ["0.50", "0.75", "1.00"]
    assert by_seed["mean"] == "0.75"
    assert by_seed["SD between seeds"] == f"{stdev(means):.2f}"


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    """One seed has no table of seeds, and a backend that ran with one of two has no spread."""
    lone = write_run(tmp_path / "0", scored("full", [[1]] * 6), run_of(0))
    assert "by seed" not in render([lone])
    both = scored("full", [[1]] * 6) + scored("rag", [[1]] * 6)
    other = write_run(tmp_path / "1", both, run_of(1))
    table = parsed(render([lone, other], markdown=True), "f1 by seed")
    assert table["full"]["SD between seeds"] == "0.00"
    assert (table["rag"]["seed 0"], table["rag"]["SD between seeds"]) == ("-", "-")


def test_contexts_of_a_file_count_once_whatever_the_seed(tmp_path: Path) -> None:
    """The seed does not change what a file holds: two runs of it are no more evidence than one."""
    for seed in (0, 1):
        write_run(tmp_path / str(seed), scored("full", [[1]] * 6), run_of(seed, qa=FILE))
    text = render([tmp_path], markdown=True)
    assert parsed(text, "Answers")["full"]["contexts"] == "6"
    assert "6 rows occur in several of the runs" in text
    assert "by seed" not in text


def test_models_stand_side_by_side(tmp_path: Path) -> None:
    """One table has a column for each model; a backend that one of them lacks has a dash there."""
    small = scored("full", [[1]] * 8) + scored("gist", [[1], [0]] * 4)
    large = scored("full", [[0]] * 6, model="large")
    runs = [write_run(tmp_path / "a", small), write_run(tmp_path / "b", large)]
    table = parsed(render(runs, markdown=True), "qa: f1 by model")
    assert table["full"]["small (n=8)"].startswith("1.00 [")
    assert table["full"]["large (n=6)"].startswith("0.00 [")
    assert table["gist"]["small (n=8)"].startswith("0.50 [")
    assert table["gist"]["large (n=6)"] == "-"
    assert "by model" not in render(runs[:1])


def test_models_are_compared_by_a_metric_that_suits_all(tmp_path: Path) -> None:
    """Where one model answers in sentences, all are compared by what its answers contain."""
    for name, in_sentences in (("terse", False), ("wordy", True)):
        rows = [
            row("full", sample, model=name, exact_match=0.0, contains=1.0) for sample in range(6)
        ]
        described = {"model_description": {"answers_in_sentences": in_sentences}, "model": name}
        write_run(tmp_path / name, rows, {"configuration": described})
    text = render([tmp_path], markdown=True)
    assert parsed(text, "qa: contains by model")["full"]["terse (n=6)"].startswith("1.00")
