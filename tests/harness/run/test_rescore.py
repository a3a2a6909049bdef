"""rescore: new metrics from stored answers, in a run folder of its own."""

import csv
import json
from pathlib import Path

import pytest

from harness.api import Model
from harness.run.choose import choose_backends, choose_suites
from harness.run.engine import OneProcess
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.runner import run
from tests.support.commands import GistBench
from tests.support.fakes import FakeModel
from tests.support.rows import row, write_run

FAKE = "tests.support.fakes:Fake"
SCORED = "tests.support.fakes:Scored"


def read(folder: Path) -> list[dict[str, str]]:
    """Return the cells of a run."""
    with (folder / "records.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_was_scored_by_the_present_rules_stays_as_it_was(
    tmp_path: Path, gist_bench: GistBench
) -> None:
    """A run of now, scored again, has the same cells, failed rows and lists included."""
    model: Model = FakeModel()
    suites = choose_suites([f"{SCORED},ask=Which\\, 'the last'?\\nSay it."])
    plan = make_plan(model, suites, choose_backends([f"{FAKE},words=2"]), Settings())
    folder = run(plan, OneProcess(model), out=tmp_path, command="test")
    new = tmp_path / "again"
    assert gist_bench("rescore", folder, "-o", new).out.strip() == str(new)
    assert (new / "records.csv").read_text() == (folder / "records.csv").read_text()
    assert {each["error"] for each in read(new)} == {"", "context_too_long"}
    written = json.loads((new / "run.json").read_text())
    assert written["configuration"]["rescored"]["run"] == folder.name
    assert "Metrics computed anew" in written["notices"][0]


def test_metrics_are_made_from_answer_and_targets(tmp_path: Path, gist_bench: GistBench) -> None:
    """Stored scores do not matter, thoughts are no part of an answer, and changes are counted."""
    rows = [
        row(question=0, f1=0.0, answer="Ada Byron", targets=("Ada Byron",)),
        row(question=1, f1=0.3, answer="<think>\nthe moor?</think>Ada", targets=("Ada \\ Byron",)),
        row(question=2, f1=1.0, answer="not in the text", targets=()),
        row(question=3, error="context_too_long", targets=("x",)),
    ]
    old = write_run(tmp_path / "old", rows)
    done = gist_bench("rescore", old, "-o", tmp_path / "new")
    new = read(tmp_path / "new")
    assert [each["f1"] for each in new] == ["1", "0.6666666667", "1", ""]
    assert [each["exact_match"] for each in new] == ["1", "0", "1", ""]
    assert new[1]["answer"] == "<think>\\nthe moor?</think>Ada"
    assert json.loads(new[1]["targets"]) == ["Ada \\ Byron"]
    assert new[1]["thought_words"] == "2"
    assert "f1: 2 of 3 values changed." in done.err
    assert "exact_match: 3 of 3 values are new." in done.err


def test_a_metric_of_the_context_stays_where_the_context_decides(
    tmp_path: Path, gist_bench: GistBench
) -> None:
    """Whether a name was invented is not in the records; that `12` without a name is one, is."""
    answers = {"Paris": "1", "not in the text": "1", "the wide sea": "1"}
    rows = [
        row(question=number, suite="hallucination", unsupported=1.0, answer=answer, targets=())
        for number, answer in enumerate(answers)
    ]
    old = write_run(tmp_path / "old", rows)
    done = gist_bench("rescore", old, "-o", tmp_path / "new")
    new = read(tmp_path / "new")
    assert [each["unsupported"] for each in new] == ["1", "0", "0"]
    assert [each["abstained"] for each in new] == ["0", "1", "0"]
    assert "1 depend on texts that are not stored and stay as they were" in done.err


def test_a_metric_of_classes_stays_as_it_was(tmp_path: Path, gist_bench: GistBench) -> None:
    """What could have been chosen is not in the records."""
    data = tmp_path / "trec.jsonl"
    question = {"_id": "a", "dataset": "trec", "context": "x", "input": "?", "answers": ["City"]}
    data.write_text(json.dumps({**question, "all_classes": ["City", "State"]}))
    asked = row(suite=f"qa,data=longbench:{data}", targets=("City",), task="trec")
    old = write_run(tmp_path / "old", [{**asked, "answer": "City or State", "class_share": 0.5}])
    assert gist_bench("rescore", old, "-o", tmp_path / "new").code == 0
    assert [each["class_share"] for each in read(tmp_path / "new")] == ["0.5"]


def test_a_rescored_run_is_never_mixed_with_its_source(
    tmp_path: Path, gist_bench: GistBench
) -> None:
    """Both in one folder are two settings of the report, not repeated rows."""
    rows = [row(question=number, f1=0.0, answer="Ada", targets=("Ada",)) for number in range(6)]
    write_run(tmp_path / "old", rows, {"configuration": {"model": "small"}})
    assert gist_bench("rescore", tmp_path / "old").code == 0
    text = gist_bench("report", tmp_path).out
    assert "small, rescored" in text
    assert "occur in several" not in text


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"suite": "nobody"}, "suite 'nobody' cannot be scored here"),
        ({"suite": "vram"}, "no suite with metrics"),
    ],
)
def test_what_cannot_be_scored_is_said_in_a_line(
    cells: dict[str, str], said: str, tmp_path: Path, gist_bench: GistBench
) -> None:
    """Nothing is written."""
    old = write_run(tmp_path / "old", [row(answer="Ada", targets=("Ada",), **cells)])
    done = gist_bench("rescore", old, "-o", tmp_path / "new")
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "new").exists()


def test_no_folder_is_written_over(tmp_path: Path, gist_bench: GistBench) -> None:
    """The second of two equal commands is refused."""
    old = write_run(tmp_path / "old", [row(answer="Ada", targets=("Ada",), f1=1.0)])
    assert gist_bench("rescore", old, "-o", tmp_path / "new").code == 0
    assert gist_bench("rescore", old, "-o", tmp_path / "new").code == 2


@pytest.mark.parametrize("command", [["rescore"], ["export", "--to", "kvpress"]])
def test_a_folder_of_runs_is_no_run(
    command: list[str], tmp_path: Path, gist_bench: GistBench
) -> None:
    """A report reads many runs; these commands take one, and say so in a line."""
    write_run(tmp_path / "runs/one", [row(answer="Ada", targets=("Ada",), f1=1.0)])
    done = gist_bench(*command, tmp_path / "runs", "-o", tmp_path / "new")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "Give one run folder." in done.err


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """Return the folder of a RoBERTa that knows nothing, whose tokens are bytes."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaConfig, RobertaModel

    folder = tmp_path / "roberta-base"  # of which BERTScore takes the tenth layer
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    config = RobertaConfig(
        vocab_size=len(tokens),
        hidden_size=16,
        num_hidden_layers=10,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=130,
    )
    torch.manual_seed(0)
    RobertaModel(config).save_pretrained(folder)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    names = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 128}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return folder


def test_bert_score_is_that_of_the_package_as_loogle_calls_it(
    tmp_path: Path, gist_bench: GistBench, encoder: Path
) -> None:
    """Its recall with both texts exchanged, the best over targets; nothing where there are none."""
    package = pytest.importorskip("bert_score")
    said = [("Ada did it.", ("Ada Byron", "She did it.")), ("", ("Rome",)), ("Rome", ())]
    rows = [
        row(question=number, answer=answer, targets=targets)
        for number, (answer, targets) in enumerate(said)
    ]
    old = write_run(tmp_path / "old", rows)
    done = gist_bench("rescore", old, "-o", tmp_path / "new", "--bert-score", encoder)
    assert done.code == 0
    for each, (answer, targets) in zip(read(tmp_path / "new"), said, strict=True):
        best = [
            package.score([target], [answer or "None"], model_type=str(encoder), num_layers=10)[1]
            for target in targets
        ]
        assert (
            each["bert_score"] == ""
            if not targets
            else float(each["bert_score"]) == (pytest.approx(max(best).item(), abs=1e-5))
        )
    configuration = json.loads((tmp_path / "new" / "run.json").read_text())["configuration"]
    assert configuration["bert_score"] == {"model": str(encoder)}
    assert all(metrics[-1] == "bert_score" for metrics in configuration["metrics"].values())


def test_a_model_that_bert_score_cannot_use_is_refused_in_one_line(
    tmp_path: Path, gist_bench: GistBench
) -> None:
    """By its name, or because it is not there."""
    pytest.importorskip("bert_score")
    old = write_run(tmp_path / "old", [row(answer="Ada", targets=("Ada",))])
    for name, said in (("mine", "called as its model"), ("roberta-large", "cannot load")):
        done = gist_bench("rescore", old, "--bert-score", tmp_path / name)
        assert done.code == 2
        assert said in done.err
        assert not list(tmp_path.glob("old-*"))
