"""Predictions of other tools, in the files that they publish, as runs of this one."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.imports.imported import listed
from tests.support.commands import GistBench

QUESTIONS = [  # task, references, answer: the first 1.0, then 0.5, 0, and 1.0 by one of two
    ("niah_single_1", ["7311"], " It is 7311."),
    ("niah_multivalue", ["12", "34"], "12 and 35"),
    ("vt", ["VAR A", "VAR B", "VAR C"], ""),
    ("qa_1", ["New York", "O'Brien's"], "near o'brien's"),
]
CONFIG = "dataset: ruler\ndata_dir: '4096'\nmodel: org/Model-8B\npress_name: snapkv\n"


def predictions(folder: Path, *, config: str = CONFIG, **columns: Any) -> Path:
    """Write an evaluation of kvpress, by pandas and with arrays in the cells as kvpress does."""
    folder.mkdir(exist_ok=True)
    frame = pd.DataFrame(
        {
            "predicted_answer": [answer for _, _, answer in QUESTIONS],
            "answer": [np.array(references, dtype=object) for _, references, _ in QUESTIONS],
            "answer_prefix": "Answer:",
            "question": [f"Which {number}?" for number in range(len(QUESTIONS))],
            "task": [task for task, _, _ in QUESTIONS],
            "max_new_tokens": 128,
            "compression_ratio": 0.5,
            **columns,
        }
    )
    frame.to_csv(folder / "predictions.csv", index=False)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    return folder / "predictions.csv"


def sample(doc_id: int, **fields: Any) -> dict[str, Any]:
    """Return a logged sample as lm-eval writes one."""
    return {
        "doc_id": doc_id,
        "doc": {"context": f"Context {doc_id // 2}.", "question": "Who?"},
        "target": "['Ada', \"Ada's\"]",
        "arguments": {"gen_args_0": {"arg_0": "Prompt", "arg_1": {"max_gen_toks": 50}}},
        "resps": [["Ada said"]],
        "filtered_resps": ["Ada"],
        "filter": "none",
        "metrics": ["exact_match", "f1"],
        "doc_hash": f"h{doc_id}",
        "exact_match": 1.0,
        "f1": 0.25,
        **fields,
    }


def logged(folder: Path, *rows: dict[str, Any] | str) -> Path:
    """Write samples and the results beside them, named as lm-eval names them."""
    folder.mkdir(exist_ok=True)
    date = "2026-01-31T10-00-00.123456"
    path = folder / f"samples_squad_completion_{date}.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    results = {"model_name": "org/Model-8B", "model_source": "hf", "results": {}}
    (folder / f"results_{date}.json").write_text(json.dumps(results), encoding="utf-8")
    return path


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a run folder."""
    with (folder / "records.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['a', 'b']", ("a", "b")),
        ("['a' 'b']", ("a", "b")),  # numpy; as Python it would be 'ab'
        ("['a'\n 'b c']", ("a", "b c")),
        ("[\"O'Brien\", 'x']", ("O'Brien", "x")),
        (r"['it\'s']", ("it's",)),
        ("Rome", ("Rome",)),
        ("[sic]", ("[sic]",)),
        ("[see page 5]", ("[see page 5]",)),
        ("[4321, 12.5]", ("4321", "12.5")),
        ("['a', 5]", ("a", "5")),
        (
            r"['a\xa0b' 'c\nd\te' 'f\u200bg' '\U0001f600' 'h\\i']",
            ("a\xa0b", "c\nd\te", "f\u200bg", "\U0001f600", r"h\i"),
        ),
        (r"['\U00110000', '\ud83d']", ("U00110000", "\ud83d")),
        ("[]", ()),
        ("", ("",)),
    ],
)
def test_list_as_text_is_a_list_again(text: str, expected: tuple[str, ...]) -> None:
    """References come back whole, whoever wrote the list."""
    assert listed(text) == expected


def test_kvpress_is_scored_as_ruler_scores(gist_bench: GistBench, tmp_path: Path) -> None:
    """Every row has its own metric, names come from the configuration, the rest stays empty."""
    path = predictions(tmp_path / "kv", config=CONFIG + "compression_ratio: 0.5\nfraction: 1.0\n")
    code, out, _ = gist_bench("import", "kvpress", path, "-o", tmp_path / "run")
    assert (code, out.strip()) == (0, str(tmp_path / "run"))
    rows = rows_of(tmp_path / "run")
    assert [row["string_match_all"] for row in rows] == ["1", "0.5", "0", ""]
    assert [row["string_match_part"] for row in rows] == ["", "", "", "1"]
    assert {row["suite"] for row in rows} == {"kvpress-ruler,data_dir=4096"}
    assert {row["backend"] for row in rows} == {"snapkv,compression_ratio=0.5"}
    assert {row["model"] for row in rows} == {"org/Model-8B"}
    assert {row["max_new_tokens"] for row in rows} == {"128"}
    assert [row["task"] for row in rows] == [task for task, _, _ in QUESTIONS]
    assert json.loads(rows[3]["targets"]) == ["New York", "O'Brien's"]
    unknown = ("context_tokens", "new_tokens", "prepare_s", "generate_s", "held_bytes", "error")
    assert {row[column] for row in rows for column in unknown} == {""}


@settings(suppress_health_check=list(HealthCheck), deadline=None)  # machines may be busy
@given(
    st.lists(st.text(st.characters(codec="utf-16", categories=None), max_size=8), min_size=1),
    st.booleans(),
)
def test_any_text_comes_back_from_a_written_list(texts: list[str], by_numpy: bool) -> None:
    """Whatever Python's repr escapes is what it was."""
    written = str(np.array(texts, dtype=object)) if by_numpy else repr(texts)
    assert listed(written) == tuple(texts)


@pytest.mark.parametrize(
    "option",
    [
        "query_aware: true",
        "compress_questions: true",  # its former name
        "key_channel_compression_ratio: 0.5",
        "threshold: 0.1",
        "needle_depth: 50",
        "fp8: true",
        "seed: 7",
        "model_kwargs: {load_in_8bit: true}",
        "an_option_of_tomorrow: 3",
    ],
)
def test_evaluations_that_differ_in_an_option_are_kept_apart(
    gist_bench: GistBench, tmp_path: Path, option: str
) -> None:
    """Two runs of one press are two configurations in the tables, and no row is dropped."""
    base = CONFIG + "compression_ratio: 0.5\nquery_aware: false\nseed: 42\ndevice: cuda:0\n"
    for name, config in (("a", base), ("b", base.replace("query_aware: false\n", "") + option)):
        folder = predictions(tmp_path / f"kv-{name}", config=config.replace("seed: 42\n", ""))
        assert gist_bench("import", "kvpress", folder, "-o", tmp_path / name)[0] == 0
    (first,), (second,) = (
        {(row["suite"], row["backend"]) for row in rows_of(tmp_path / name)} for name in ("a", "b")
    )
    assert first == ("kvpress-ruler,data_dir=4096", "snapkv,compression_ratio=0.5")
    assert first != second


def test_a_folder_without_configuration_says_by_its_name_what_was_seen(
    gist_bench: GistBench, tmp_path: Path
) -> None:
    """A press that saw the question is not merged with one that did not."""
    path = predictions(tmp_path / "ruler__4096__m__snapkv__0.50__query_aware")
    (path.parent / "config.yaml").unlink()
    assert gist_bench("import", "kvpress", path, "-o", tmp_path / "a", "--model", "m")[0] == 0
    assert {row["backend"] for row in rows_of(tmp_path / "a")} == {
        "kvpress,compression_ratio=0.5,query_aware=True"
    }


def test_folder_of_kvpress_is_its_csv(gist_bench: GistBench, tmp_path: Path) -> None:
    """The evaluation's folder can be given, and the backend be named as the ceiling it is."""
    folder = predictions(
        tmp_path / "kv", config="model: m\npress_name: no_press\ncompression_ratio: 0.0\n"
    ).parent
    assert gist_bench("import", "kvpress", folder, "-o", tmp_path / "a")[0] == 0
    assert (
        gist_bench("import", "kvpress", folder, "-o", tmp_path / "b", "--backend", "full")[0] == 0
    )
    assert {row["backend"] for row in rows_of(tmp_path / "a")} == {"no_press"}
    assert {row["backend"] for row in rows_of(tmp_path / "b")} == {"full"}


def test_other_tasks_of_kvpress_are_scored_as_squad(gist_bench: GistBench, tmp_path: Path) -> None:
    """Answers to tasks that are not RULER's get F1 and exact match."""
    path = predictions(tmp_path / "kv", task="hotpotqa", predicted_answer="New York")
    assert gist_bench("import", "kvpress", path, "-o", tmp_path / "run")[0] == 0
    rows = rows_of(tmp_path / "run")
    assert [row["exact_match"] for row in rows] == ["0", "0", "0", "1"]
    assert "string_match_all" not in rows[0]


def notices_of(folder: Path) -> list[str]:
    """Return what a run folder tells its reader."""
    found: list[str] = json.loads((folder / "run.json").read_text(encoding="utf-8"))["notices"]
    return found


def test_longbench_of_kvpress_is_scored_by_the_metric_of_each_task(
    gist_bench: GistBench, tmp_path: Path
) -> None:
    """Summaries, classes, numbers, code and words have a column each; no other is filled."""
    path = predictions(
        tmp_path / "kv",
        config="dataset: longbench\nmodel: m\npress_name: knorm\n",
        task=["gov_report", "trec", "passage_count", "hotpotqa-e"],
        predicted_answer=["New York won.", "Cat\nDog", "3 or 4", "The New York"],
        answer=["New York won.", "Cat", "4", "New York"],
        all_classes=[None, np.array(["Cat", "Dog"], dtype=object), None, None],
    )
    assert gist_bench("import", "kvpress", path, "-o", tmp_path / "run")[0] == 0
    columns = ("rouge_l", "class_share", "number_share", "f1")
    rows = [{name: row[name] for name in columns} for row in rows_of(tmp_path / "run")]
    filled = [{name: float(value) for name, value in row.items() if value} for row in rows]
    assert filled == [
        {"rouge_l": pytest.approx(1)},
        {"class_share": 1},
        {"number_share": 0.5},
        {"f1": 1},
    ]
    assert not [line for line in notices_of(tmp_path / "run") if "metric" in line]


def test_a_task_without_its_metric_has_empty_cells_and_a_line(
    gist_bench: GistBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the package, the classes or the metric is missing: the other rows are scored."""
    monkeypatch.setitem(sys.modules, "rouge", None)
    path = predictions(
        tmp_path / "kv",
        config="dataset: longbench\nmodel: m\npress_name: knorm\n",
        task=["gov_report", "trec", "a_new_task", "hotpotqa"],
        predicted_answer="New York",
        answer="New York",
    )
    assert gist_bench("import", "kvpress", path, "-o", tmp_path / "run")[0] == 0
    columns = ("f1", "rouge_l", "class_share")
    cells = [[row[name] for name in columns] for row in rows_of(tmp_path / "run")]
    assert cells == [["", "", ""]] * 3 + [["1", "", ""]]
    about = [line for line in notices_of(tmp_path / "run") if "are empty" in line]
    assert [line.split("'")[1] for line in about] == ["gov_report", "trec", "a_new_task"]


def test_data_sets_whose_metrics_are_not_here_are_named(
    gist_bench: GistBench, tmp_path: Path
) -> None:
    """SQuAD's metrics are said to be no official ones."""
    config = "dataset: loogle\nmodel: m\npress_name: knorm\n"
    path = predictions(tmp_path / "kv", config=config, task="shortdep_qa")
    assert gist_bench("import", "kvpress", path, "-o", tmp_path / "run")[0] == 0
    assert any(
        "not the official metrics of loogle" in line for line in notices_of(tmp_path / "run")
    )


def test_contexts_are_the_samples_where_the_file_has_them(
    gist_bench: GistBench, tmp_path: Path
) -> None:
    """Questions of one context share a sample; a context may be long."""
    path = predictions(tmp_path / "kv", context=["long " * 60_000, "long " * 60_000, "b", "c"])
    assert gist_bench("import", "kvpress", path, "-o", tmp_path / "run")[0] == 0
    first, second, third, _ = (row["sample_id"] for row in rows_of(tmp_path / "run"))
    assert first == second != third
    notices = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["notices"]
    assert len(notices) == 1


def test_lm_eval_keeps_its_scores(gist_bench: GistBench, tmp_path: Path) -> None:
    """Scores, answers, targets and names are those of the files; contexts are the samples."""
    path = logged(tmp_path / "lm", *map(sample, range(4)))
    assert gist_bench("import", "lm-eval", path, "-o", tmp_path / "run")[0] == 0
    rows = rows_of(tmp_path / "run")
    assert {row["suite"] for row in rows} == {"lm-eval-squad_completion"}
    assert {row["backend"] for row in rows} == {"lm-eval,model=hf"}
    assert {row["model"] for row in rows} == {"org/Model-8B"}
    assert [(row["exact_match"], row["f1"]) for row in rows] == [("1", "0.25")] * 4
    assert json.loads(rows[0]["targets"]) == ["Ada", "Ada's"]
    assert rows[0]["answer"] == "Ada"
    assert {row["max_new_tokens"] for row in rows} == {"50"}
    assert [row["question_id"] for row in rows] == ["0", "1", "2", "3"]
    first, second, third, _ = (row["sample_id"] for row in rows)
    assert first == second != third
    assert {row["prompt_tokens"] for row in rows} == {""}


def test_lm_eval_of_choices_and_old_files_is_read(gist_bench: GistBench, tmp_path: Path) -> None:
    """Log-likelihoods are no answer; files that do not name their metrics have them too."""
    old = {
        "doc_id": 0,
        "doc": {"query": "?"},
        "target": 1,
        "arguments": [["Prompt", " a"], ["Prompt", " b"]],
        "resps": [[[-1.5, False]], [[-0.5, True]]],
        "filtered_resps": [[-1.5, False], [-0.5, True]],
        "acc": 1.0,
        "perplexity": 12.5,
        "4096": 0.5,
        "8192": -1.0,
        "bleu": [1, 2],
    }
    path = logged(tmp_path / "lm", old, {**old, "doc_id": 1, "acc": True, "4096": -1.0})
    assert gist_bench("import", "lm-eval", path, "-o", tmp_path / "run")[0] == 0
    first, second = rows_of(tmp_path / "run")
    assert (first["answer"], first["targets"], first["max_new_tokens"]) == ("", '["1"]', "")
    assert (first["acc"], second["acc"]) == ("1", "1")
    assert (first["4096"], second["4096"]) == ("0.5", "")  # -1 is said of all other lengths
    assert not {"perplexity", "8192", "bleu"} & set(first)
    notices = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["notices"]
    assert any("left out: perplexity" in notice for notice in notices)


def test_tasks_that_lm_eval_scores_as_a_whole_are_scored_here(
    gist_bench: GistBench, tmp_path: Path
) -> None:
    """SQuAD 2.0's samples hold answers and references in place of scores."""

    def squad(doc_id: int, said: str, *texts: str) -> dict[str, Any]:
        prediction = {"id": str(doc_id), "prediction_text": said, "no_answer_probability": 0.1}
        references = {"id": str(doc_id), "answers": {"text": list(texts), "answer_start": [0]}}
        pair = [prediction, references]
        return sample(
            doc_id,
            doc={"context": "c", "question": "?", "answers": references["answers"]},
            target=texts[0] if texts else "unanswerable",
            filtered_resps=[said, [-3.5, False]],
            metrics=["exact", "f1", "HasAns_f1"],
            exact=pair,
            f1=pair,
            HasAns_f1=pair,
        )

    path = logged(
        tmp_path / "lm",
        squad(0, "the Ada", "Ada", "Ada Byron"),
        squad(1, "Ada Lovelace", "Ada"),
        squad(2, "not in the text"),
        squad(3, "Rome"),
    )
    assert gist_bench("import", "lm-eval", path, "-o", tmp_path / "run")[0] == 0
    rows = rows_of(tmp_path / "run")
    assert [row["exact_match"] for row in rows] == ["1", "0", "1", "0"]
    assert [row["f1"] for row in rows] == ["1", "0.6666666667", "1", "0"]
    assert [json.loads(row["targets"]) for row in rows] == [["Ada", "Ada Byron"], ["Ada"], [], []]
    notices = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["notices"]
    assert any("scored here" in notice for notice in notices)


def test_letters_are_options(gist_bench: GistBench, tmp_path: Path) -> None:
    """LongBench v2 is multiple choice: nothing said, or a refusal, is no right A."""
    said = ["", "not in the text", "The correct answer is (A)", "B"]
    path = predictions(tmp_path / "kv", task="short", answer=["A", "A", "A", "B"])
    frame = pd.read_csv(path).assign(predicted_answer=said)
    frame.to_csv(path, index=False)
    assert gist_bench("import", "kvpress", path, "-o", tmp_path / "run")[0] == 0
    assert [row["choice_accuracy"] for row in rows_of(tmp_path / "run")] == ["0", "0", "1", "1"]


def test_longbench_columns_of_kvpress_are_read(gist_bench: GistBench, tmp_path: Path) -> None:
    """LongBench calls the references `answers`."""
    path = predictions(tmp_path / "kv", task="hotpotqa", predicted_answer="New York")
    text = path.read_text(encoding="utf-8").replace(",answer,", ",answers,", 1)
    path.write_text(text, encoding="utf-8")
    assert gist_bench("import", "kvpress", path, "-o", tmp_path / "run")[0] == 0
    rows = rows_of(tmp_path / "run")
    assert [row["f1"] for row in rows] == ["0", "0", "0", "1"]
    assert json.loads(rows[1]["targets"]) == ["12", "34"]


def test_one_filter_counts(gist_bench: GistBench, tmp_path: Path) -> None:
    """A question that was scored by several filters is one row, by the filter that is chosen."""
    path = logged(
        tmp_path / "lm",
        *(sample(n, filter="strict", exact_match=0.0) for n in range(2)),
        *(sample(n, filter="loose") for n in range(2)),
    )
    code, _, err = gist_bench("import", "lm-eval", path, "-o", tmp_path / "none")
    assert code == 2
    assert "by several filters: strict, loose. Choose one with --filter" in err
    chosen = ("--filter", "strict", "-o", tmp_path / "run")
    assert gist_bench("import", "lm-eval", path, *chosen)[0] == 0
    assert [row["exact_match"] for row in rows_of(tmp_path / "run")] == ["0", "0"]
    assert gist_bench("import", "lm-eval", path, "--filter", "x", "-o", tmp_path / "n")[0] == 2


def test_imported_runs_share_a_table(gist_bench: GistBench, tmp_path: Path) -> None:
    """Two backends on the same questions stand in one table, and their answers are paired."""
    good = predictions(tmp_path / "a", config=CONFIG.replace("snapkv", "no_press"))
    poor = predictions(tmp_path / "b", predicted_answer=["7311", "", "", "none"])
    gist_bench("import", "kvpress", good, "-o", tmp_path / "runs" / "full", "--backend", "full")
    gist_bench("import", "kvpress", poor, "-o", tmp_path / "runs" / "snapkv")
    code, out, _ = gist_bench("report", tmp_path / "runs")
    assert code == 0
    answers = [line.split() for line in out.splitlines() if line.startswith(("full", "snapkv"))]
    assert [line[:2] for line in answers[:2]] == [["full", "*0.50"], ["snapkv", "0.33"]]
    first, second = (rows_of(tmp_path / "runs" / name) for name in ("full", "snapkv"))
    assert [row["sample_id"] for row in first] == [row["sample_id"] for row in second]
    runs = [
        json.loads((tmp_path / "runs" / name / "run.json").read_text(encoding="utf-8"))
        for name in ("full", "snapkv")
    ]
    assert runs[0]["configuration"]["suites"] == runs[1]["configuration"]["suites"]


def test_other_questions_are_other_data(gist_bench: GistBench, tmp_path: Path) -> None:
    """Rows of the same number are not paired if they asked something else."""
    asked = predictions(tmp_path / "a")
    other = predictions(tmp_path / "b", question="Another?")
    suites = []
    for path in (asked, other):
        run = tmp_path / f"run-{path.parent.name}"
        gist_bench("import", "kvpress", path, "-o", run)
        suites.append(json.loads((run / "run.json").read_text(encoding="utf-8"))["configuration"])
    assert suites[0]["suites"] != suites[1]["suites"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"question,answer\na,b\n", "line 1: no column 'predicted_answer'"),
        (b"question,answer,predicted_answer\n", "has no rows below its header"),
        (b'question,answer,predicted_answer\na,b,"c\nd', "line 3: not CSV: unexpected end of data"),
        (
            b"question,answer,predicted_answer\na,b,c\na,b\n",
            "line 3: 2 cells, and the header has 3",
        ),
        (b"question,answer,predicted_answer\na,b,\xff\n", "line 2 is not UTF-8"),
        (b'{"doc_id": 1}\n', "line 1: no column 'question'"),
        (b"x" * 3_000_000, "line 1: no column 'question'"),
    ],
)
def test_bad_predictions_are_told_and_nothing_is_written(
    gist_bench: GistBench, tmp_path: Path, text: bytes, message: str
) -> None:
    """Cut, empty or foreign files are one short line with the place, exit code 2, no folder."""
    path = predictions(tmp_path / "kv")
    path.write_bytes(text)
    code, _, err = gist_bench("import", "kvpress", path, "-o", tmp_path / "run")
    assert code == 2
    assert message in err
    assert str(path) in err
    assert err.count("\n") == 1
    assert len(err) < len(str(path)) + 400
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"doc_id": 1, "doc"', "line 2: not JSON"),
        ("[]", "line 2: 'doc_id' is missing"),
        ('{"doc_id": 1}', "line 2: 'doc' is missing"),
        ("1", "line 2: 'doc_id' is missing"),
        (json.dumps(sample(0)), "line 2: doc_id 0 was in line 1 already. Are two files joined?"),
        ("[" * 100_000, "line 2: not JSON that can be read"),
    ],
)
def test_bad_samples_are_told_with_their_line(
    gist_bench: GistBench, tmp_path: Path, line: str, message: str
) -> None:
    """A line that is no sample of lm-eval is named, and nothing is written."""
    path = logged(tmp_path / "lm", sample(0), line)
    code, _, err = gist_bench("import", "lm-eval", path, "-o", tmp_path / "run")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_file_that_cannot_be_imported_is_a_mistake(gist_bench: GistBench, tmp_path: Path) -> None:
    """No model, no share among the scores, a folder that exists: one line each."""
    path = predictions(tmp_path / "kv")
    (tmp_path / "kv" / "config.yaml").unlink()
    code, _, err = gist_bench("import", "kvpress", path, "-o", tmp_path / "run")
    assert (code, "Give its name with --model" in err) == (2, True)
    assert gist_bench("import", "kvpress", path, "-o", tmp_path / "run", "--model", "m")[0] == 0
    assert {row["backend"] for row in rows_of(tmp_path / "run")} == {
        "kvpress,compression_ratio=0.5"
    }
    code, _, err = gist_bench("import", "kvpress", path, "-o", tmp_path / "run", "--model", "m")
    assert (code, "run exists. Give another folder" in err) == (2, True)
    scored = logged(tmp_path / "lm", sample(0, metrics=["word_perplexity"], word_perplexity=9.5))
    code, _, err = gist_bench("import", "lm-eval", scored, "-o", tmp_path / "other")
    assert (code, "no score between 0 and 1. Metrics of the file: word_perplexity" in err) == (
        2,
        True,
    )
    code, _, err = gist_bench("import", "kvpress", tmp_path / "none.csv", "-o", tmp_path / "other")
    assert (code, "cannot read" in err) == (2, True)
