"""The runner: what it does with a backend, and what it writes."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.api import Generation, Question, Sample, Suite
from harness.errors import NotReady, UserError
from harness.run import cell, scores
from harness.run.choose import choose_backends, choose_suites
from harness.run.engine import OneProcess
from harness.run.measure import Meter
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.runner import run
from tests.support.fakes import FakeModel

FAKE = "tests.support.fakes:Fake"
SCORED = "tests.support.fakes:Scored"
COSTS = "tests.support.fakes:Costs"
UNREADY = "tests.support.fakes:Unready"


def execute(
    out: Path,
    suites: list[str],
    backends: list[str],
    *,
    model: FakeModel | None = None,
    settings: Settings | None = None,
    restart: bool = False,
    run_checks: Callable[[], Sequence[Mapping[str, object]]] = list,
) -> list[dict[str, str]]:
    """Run suites with backends and return the rows."""
    model = model or FakeModel()
    plan = make_plan(
        model, choose_suites(suites), choose_backends(backends), settings or Settings()
    )
    tested = OneProcess(model, checks=lambda _: run_checks())
    folder = run(plan, tested, out=out, command="test", restart=restart)
    with (folder / "records.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_row_is_one_question(tmp_path: Path) -> None:
    """Every question of every sample has one row with its answer, score, slices and costs."""
    rows = execute(tmp_path, [f"{SCORED},contexts=2"], [FAKE])
    assert [(row["sample_id"], row["question_id"]) for row in rows] == [
        (sample, question) for sample in ("s1", "s2") for question in ("q0", "q1", "q2")
    ]
    last = rows[-1]
    expected = {
        "suite": f"{SCORED},contexts=2",
        "backend": FAKE,
        "model": "fake",
        "size": "2",
        "kind": "last",
        "context_tokens": "2",
        "context_entries": "2",
        "prompt_tokens": "2",
        "new_tokens": "1",
        "max_new_tokens": "5",
        "contexts_held": "1",
        "held_bytes": "1000",
        "right": "1",
        "optional": "",
        "evidence_recall": "1",
        "answer": "w0",
        "targets": '["w0"]',
        "evidence": '["w0"]',
        "error": "",
        "notice": "",
    }
    assert {name: last[name] for name in expected} == expected
    assert float(last["prepare_s"]) > 0
    assert float(last["generate_s"]) > 0


def test_questions_are_asked_in_batches(tmp_path: Path) -> None:
    """A batch has one number and one time; a sample has one prepare time."""
    model = FakeModel()
    rows = execute(
        tmp_path, [f"{SCORED},contexts=1,questions=5"], [FAKE], model=model,
        settings=Settings(batch_size=2),
    )  # fmt: skip
    asked = [line for line in model.log if line.startswith("ask")]
    assert asked == ["ask 1 2 0", "ask 2 5 0", "ask 2 5 0", "ask 1 5 0"]  # the first warms up
    assert [row["batch_size"] for row in rows] == ["2", "2", "2", "2", "1"]
    assert [row["batch_id"] for row in rows] == ["s1#0", "s1#0", "s1#1", "s1#1", "s1#2"]
    times = {row["batch_id"]: row["generate_s"] for row in rows}
    assert all(row["generate_s"] == times[row["batch_id"]] for row in rows)
    assert len({row["prepare_s"] for row in rows}) == 1


def test_a_cost_suite_asks_one_question_at_a_time(tmp_path: Path) -> None:
    """Batches do not hide the time of a question in suites that show costs."""
    rows = execute(tmp_path, [f"{COSTS},held=1"], [FAKE])
    assert {row["batch_size"] for row in rows} == {"1"}


def test_several_contexts_are_held_at_once(tmp_path: Path) -> None:
    """With k contexts held, k are prepared before the last is asked, and their bytes add up."""
    model = FakeModel()
    rows = execute(tmp_path, [f"{COSTS},sizes=1,held=3"], [FAKE], model=model)
    assert rows[0]["held_bytes"] == "3000"
    assert rows[0]["contexts_held"] == "3"
    measured = model.log[model.log.index("close context") + 1 :]
    assert measured == [*["prepare"] * 3, *["ask 1 4 4"] * 2, *["close context"] * 3,
                        "close backend"]  # fmt: skip


def test_a_backend_is_warmed_up_before_its_first_sample(tmp_path: Path) -> None:
    """Whatever its place in the order, a backend is asked once before it is measured."""
    model = FakeModel()
    execute(tmp_path, [f"{SCORED},contexts=1"], [FAKE, f"{FAKE},words=9"], model=model)
    run_log = model.log[model.log.index("build 9") :]  # after both were tried
    assert run_log.count("ask 1 2 0") == 2
    for name in ("build 1000", "build 9"):
        start = len(run_log) - run_log[::-1].index(name)
        assert run_log[start : start + 3] == ["prepare", "ask 1 2 0", "close context"]


def test_a_backend_is_built_once_for_suites_in_a_row(tmp_path: Path) -> None:
    """It is built to describe itself, and again to run; another one in between closes it."""
    model = FakeModel()
    execute(tmp_path / "one", [SCORED, COSTS], [FAKE], model=model)
    assert model.log.count("build 1000") == model.log.count("close backend") == 1 + 1
    model = FakeModel()
    execute(tmp_path / "two", [SCORED, COSTS], [FAKE, f"{FAKE},words=9"], model=model)
    assert model.log.count("build 1000") == model.log.count("build 9") == 1 + 2
    steps = [line.partition(" ")[0] for line in model.log if "build" in line or "backend" in line]
    assert steps == ["build", "close"] * 6  # two are never open at once


def test_a_context_that_does_not_fit_is_a_row(tmp_path: Path) -> None:
    """A sample that a backend cannot run has rows with an error and no score, and is not cut."""
    rows = execute(tmp_path, [SCORED], [f"{FAKE},words=2"])
    errors = {row["sample_id"]: row["error"] for row in rows}
    assert errors == {"s1": "", "s2": "", "s3": "context_too_long"}
    failed = [row for row in rows if row["error"]]
    assert len(failed) == 3
    assert failed[0]["context_tokens"] == "3"
    assert failed[0]["targets"] == '["w0"]'
    assert failed[0]["notice"] == "3 words, and 2 fit"
    empty = ("right", "answer", "new_tokens", "context_entries", "prepare_s", "held_bytes")
    assert [failed[0][name] for name in empty] == [""] * len(empty)


def test_memory_that_runs_out_in_an_answer_is_a_row(tmp_path: Path) -> None:
    """A failure in generate keeps what prepare took, and gives no answer to any question."""
    model = FakeModel()
    rows = execute(tmp_path, [f"{SCORED},contexts=1,ask=OOM"], [FAKE], model=model)
    assert {row["error"] for row in rows} == {"out_of_memory"}
    assert {row["answer"] for row in rows} == {""}
    assert rows[0]["held_bytes"] == "1000"
    assert float(rows[0]["prepare_s"]) > 0
    assert model.log.count("prepare") == model.log.count("close context")


def test_a_sweep_stops_where_memory_ends(tmp_path: Path) -> None:
    """In a cost suite nothing larger is tried after out_of_memory, for each number held."""
    rows = execute(tmp_path, [f"{COSTS},sizes=1+2+3+4"], [f"{FAKE},full=2"])
    ends = [row["sample_id"] for row in rows if row["error"] == "out_of_memory"]
    assert ends == ["3x1", "3x1", "3x2", "3x2"]
    assert not [row for row in rows if row["size"] == "4"]


def test_a_quality_suite_goes_on_after_out_of_memory(tmp_path: Path) -> None:
    """In a suite that scores, every sample has its rows."""
    rows = execute(tmp_path, [SCORED], [f"{FAKE},full=1"])
    errors = [row["error"] for row in rows if row["question_id"] == "q0"]
    assert errors == ["", "out_of_memory", "out_of_memory"]


def test_any_other_failure_stops_the_run(tmp_path: Path) -> None:
    """A fault of the program is not written as a row, and the run says that it failed."""
    with pytest.raises(LookupError):
        execute(tmp_path, [f"{SCORED},ask=BUG"], [FAKE])
    (status,) = tmp_path.glob("*/run.json")
    assert json.loads(status.read_text())["status"] == "failed"
    assert len(status.with_name("records.csv").read_text().splitlines()) == 1


def test_a_backend_that_is_not_ready_shows_its_cost(tmp_path: Path) -> None:
    """Named for a cost suite it runs with its cost options and a notice; for answers it fails."""
    rows = execute(tmp_path, [f"{COSTS},sizes=1,held=1"], [UNREADY])
    assert {row["backend"] for row in rows} == {f"{UNREADY},untrained=true"}
    assert rows[0]["notice"].startswith(f"in place of {UNREADY}, for its costs alone: no adapter")
    with pytest.raises(NotReady, match="train-gist"):
        execute(tmp_path, [SCORED], [UNREADY])


def test_random_weights_are_refused_for_answers(tmp_path: Path) -> None:
    """A model with random weights runs in cost suites only."""
    model = FakeModel(random_weights=True)
    assert execute(tmp_path, [f"{COSTS},sizes=1,held=1"], [FAKE], model=model)
    with pytest.raises(UserError, match="random weights"):
        execute(tmp_path, [SCORED, COSTS], [FAKE], model=model)


def test_contexts_in_another_language_than_the_embedders_are_named(tmp_path: Path) -> None:
    """The run says so once for a suite; on English contexts, and without an embedder, nothing."""
    asked = [{"id": "1", "question": "?", "answers": ["東京"]}]
    for name, context in (
        ("ja", "東京は日本の首都です。"),
        ("en", "Tokyo is the capital of Japan."),
    ):
        line = json.dumps({"id": name, "context": context, "questions": asked})
        (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    suites = choose_suites([f"qa,data={tmp_path / 'ja'}", f"qa,data={tmp_path / 'en'}"])
    backends = choose_backends([FAKE, f"{FAKE},languages=English"])
    (notice,) = make_plan(FakeModel(), suites, backends, Settings()).notices
    assert notice.startswith(f"{FAKE},languages=English in qa,data={tmp_path / 'ja'}: ")
    assert "letters: Japanese" in notice


def test_a_backends_notice_is_in_its_rows(tmp_path: Path) -> None:
    """What a backend says of itself under `notice` reaches every row and run.json."""
    rows = execute(tmp_path, [f"{SCORED},contexts=1"], [f"{FAKE},note=no model"])
    assert {row["notice"] for row in rows} == {"no model"}
    (path,) = tmp_path.glob("*/run.json")
    assert json.loads(path.read_text())["notices"] == [f"{FAKE},note=no model: no model"]


def test_checks_are_made_once_and_before_the_rows(tmp_path: Path) -> None:
    """A run makes its checks before it measures; a resumed one does not make them again."""
    model = FakeModel()

    def run_checks() -> list[Mapping[str, object]]:
        model.log.append("check")
        return [{"backends": [FAKE], "proofs": []}]

    execute(tmp_path, [SCORED], [FAKE], model=model, run_checks=run_checks)
    assert model.log.index("check") < model.log.index("prepare")
    (path,) = tmp_path.glob("*/run.json")
    (entry,) = json.loads(path.read_text())["proofs"]
    assert [check["name"] for check in entry["proofs"]] == [scores.NAME]  # of the rows
    records = path.with_name("records.csv")
    records.write_bytes(b"".join(records.read_bytes().splitlines(keepends=True)[:-1]))
    execute(tmp_path, [SCORED], [FAKE], model=model, run_checks=run_checks)
    assert model.log.count("check") == 1
    execute(tmp_path, [SCORED], [FAKE], model=model, run_checks=run_checks, restart=True)
    assert model.log.count("check") == 2


def test_the_limit_cuts_samples_not_questions(tmp_path: Path) -> None:
    """A limit of n leaves the first n samples as they are."""
    rows = execute(tmp_path, [SCORED], [FAKE], settings=Settings(limit=2))
    assert [row["sample_id"] for row in rows] == ["s1"] * 3 + ["s2"] * 3


def test_the_seed_reaches_the_samples(tmp_path: Path) -> None:
    """Samples are drawn with the seed of the run."""
    rows = execute(tmp_path, [f"{SCORED},contexts=1"], [FAKE], settings=Settings(seed=7))
    assert rows[0]["answer"] == "w7"


def test_a_suite_without_samples_is_a_mistake(tmp_path: Path) -> None:
    """Nothing is written for a suite that yields nothing."""
    with pytest.raises(UserError, match="no samples"):
        execute(tmp_path, [f"{SCORED},contexts=0"], [FAKE])
    with pytest.raises(UserError, match="no questions"):
        execute(tmp_path, [f"{SCORED},questions=0"], [FAKE])
    assert not list(tmp_path.iterdir())


def test_equal_ids_are_a_mistake(tmp_path: Path) -> None:
    """Two samples of one name could not be told apart when a run is resumed."""
    with pytest.raises(UserError, match="'1x1' occurs twice"):
        execute(tmp_path, [f"{COSTS},sizes=1+1,held=1"], [FAKE])


@pytest.mark.skipif(Meter("cpu").memory_kind != "cpu_rss", reason="no resident peak here")
def test_the_order_of_backends_does_not_matter(tmp_path: Path) -> None:
    """A backend's peak is the same before and after one that takes much more memory."""
    small, large = f"{FAKE},mib=1", f"{FAKE},mib=100"
    peaks = []
    for number, order in enumerate(([small, large], [large, small])):
        rows = execute(tmp_path / str(number), [f"{COSTS},sizes=2+3,held=1"], order)
        peaks.append({row["backend"]: int(row["prepare_peak_bytes"]) for row in rows})
    assert peaks[0][large] - peaks[0][small] > 90 * 2**20
    for backend in (small, large):
        assert abs(peaks[0][backend] - peaks[1][backend]) < 16 * 2**20


def scores_of(out: Path) -> dict[str, tuple[str, bool]]:
    """Return what the check of all rows says of each backend of the run in a folder."""
    (file,) = out.glob("*/run.json")
    return {
        ", ".join(entry["backends"]): (check["measured"], check["passed"])
        for entry in json.loads(file.read_text())["proofs"]
        for check in entry["proofs"]
        if check["name"] == scores.NAME
    }


def test_metrics_of_all_rows_are_computed_again_at_the_end(tmp_path: Path) -> None:
    """Rows with an error have none; a check that was made before them keeps its entry."""
    checked = {"backends": [FAKE], "proofs": [{"name": "held bytes", "passed": True}]}
    execute(tmp_path, [SCORED], [f"{FAKE},words=2", FAKE], run_checks=lambda: [checked])
    expected = {FAKE: ("9 of 9 rows", True), f"{FAKE},words=2": ("9 of 9 rows", True)}
    assert scores_of(tmp_path) == expected
    (file,) = tmp_path.glob("*/run.json")
    names = [check["name"] for check in json.loads(file.read_text())["proofs"][0]["proofs"]]
    assert names == ["held bytes", scores.NAME]


def test_a_metric_that_is_not_that_of_its_answer_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a single row of the run, wherever it is; other backends stay green."""
    honest, flattered = cell._answer_cells, []

    def flatter(suite: Suite, sample: Sample, question: Question, said: Generation) -> Any:
        cells = honest(suite, sample, question, said)
        if (sample.id, question.id) == ("s3", "q2") and not flattered:
            flattered.append(cells)
            return cells | {"right": 0.0}
        return cells

    monkeypatch.setattr(cell, "_answer_cells", flatter)
    execute(tmp_path, [SCORED], [FAKE, f"{FAKE},words=500"])
    expected = {FAKE: ("8 of 9 rows", False), f"{FAKE},words=500": ("9 of 9 rows", True)}
    assert scores_of(tmp_path) == expected


def test_a_run_that_is_resumed_at_its_end_has_the_check_once(tmp_path: Path) -> None:
    """It is of the rows as they are now."""
    execute(tmp_path, [SCORED], [FAKE])
    (file,) = tmp_path.glob("*/run.json")
    file.write_text(file.read_text().replace('"status": "finished"', '"status": "failed"'))
    records = file.with_name("records.csv")
    text = records.read_text()
    assert text.count(",w0,") == 9
    records.write_text(text.replace(",w0,", ",w1,", 1))
    execute(tmp_path, [SCORED], [FAKE])
    assert scores_of(tmp_path) == {FAKE: ("8 of 9 rows", False)}
    assert file.read_text().count(scores.NAME) == 1
