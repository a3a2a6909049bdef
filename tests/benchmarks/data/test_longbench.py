"""LongBench: all of its tasks are read, and each is scored as its official script does.

The expected figures are those of the script (THUDM/LongBench, LongBench/eval.py and metrics.py).
"""

# ruff: noqa: RUF001 - marks of Chinese are meant

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hallucination import Hallucination
from benchmarks.qa import Qa
from harness.api import Question, Sample
from harness.errors import UserError
from tests.support.fake_tokenizers import WordTokenizer
from tests.support.published import LONGBENCH

CLASSES = ["animal", "City", "Other animal", "State"]
TASKS = (
    "narrativeqa qasper multifieldqa_en multifieldqa_zh hotpotqa 2wikimqa musique dureader "
    "gov_report qmsum multi_news vcsum trec triviaqa samsum lsht passage_count "
    "passage_retrieval_en passage_retrieval_zh lcc repobench-p"
).split()


def opened(folder: Path, task: str, *answers: str, **fields: Any) -> tuple[Qa, Sample]:
    """Write a row of a task and return the suite over it with its sample."""
    row = {**LONGBENCH, "dataset": task, "answers": answers, "all_classes": CLASSES, **fields}
    (folder / "data.jsonl").write_text(json.dumps(row), encoding="utf-8")
    suite = Qa(data=f"longbench:{folder / 'data.jsonl'}")
    (sample,) = suite.samples(WordTokenizer(), seed=0)
    return suite, sample


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("suffix", ["", "_e"])
def test_every_task_is_read_and_has_one_metric(tmp_path: Path, task: str, suffix: str) -> None:
    """A reference scores 1 by the task's metric, the suite's first; others are no columns."""
    right = "Other animal" if task in ("trec", "lsht") else "Paragraph 5"
    right = "段落5" if task == "passage_retrieval_zh" else right
    suite, sample = opened(tmp_path, task + suffix, right)
    (question,) = sample.questions
    headline, contains = suite.metrics
    assert contains == "contains"
    scores = suite.score(question, right, "")
    assert {*scores} == {headline, "contains"}
    assert scores[headline] == pytest.approx(1.0)
    assert suite.score(question, "", "")[headline] == 0
    assert question.text.strip()
    assert question.slices == {"task": task}


@pytest.mark.parametrize(
    ("task", "right", "said", "value"),
    [
        ("hotpotqa", "Rome", "the Rome", 1.0),
        ("triviaqa", "Rome", "\nRome\nQuestion: more", 1.0),
        ("narrativeqa", "Rome", "Rome Paris", 2 / 3),
        ("multifieldqa_zh", "北京清华大学", "我来到清华大学，", 0.4),
        ("multifieldqa_zh", "ＡＢ，1989年", "ab年", 1 / 3),
        (
            "gov_report",
            "The cat sat on the mat.",
            "The cat was there. On the mat.",
            0.6153846104142012,
        ),
        ("gov_report", "The cat sat on the mat.", "...", 0.0),
        ("samsum", "Ada left.", "Ada left.\nDialogue: more", 1.0),
        ("vcsum", "会议讨论了预算", "会议没有讨论预算", 0.749999995),
        ("trec", "Other animal", "Other animal", 1.0),
        ("trec", "City", "City or State", 0.5),
        ("trec", "City", "A State\nCity", 0.0),
        ("lsht", "State", "State", 1.0),
        ("passage_count", "5", "5, or 7", 0.5),
        ("passage_count", "5", "none", 0.0),
        ("passage_retrieval_en", "Paragraph 5", "Paragraph 15", 0.0),
        ("passage_retrieval_zh", "段落5", "段落5", 1.0),
        ("lcc", "    return total", "# sum\n```\n    return totals", 0.97),
        ("lcc", "}", "}", 1.0),
        ("repobench-p", "import os", "", 0.0),
    ],
)
def test_an_answer_scores_what_the_official_script_gives(
    tmp_path: Path, task: str, right: str, said: str, value: float
) -> None:
    """Words, summaries, classes, numbers and code, in English and Chinese, to the last digit."""
    suite, sample = opened(tmp_path, task, "nothing 0", right)
    assert suite.score(sample.questions[0], said, "")[suite.metrics[0]] == pytest.approx(value)


def test_a_long_chinese_summary_is_scored(tmp_path: Path) -> None:
    """It is one sentence for the package, longer than the stack of Python; the limit stays."""
    limit = sys.getrecursionlimit()
    text = "会议讨论了预算和计划，" * 200
    suite, sample = opened(tmp_path, "vcsum", text)
    assert suite.score(sample.questions[0], text[: len(text) // 2], "")["rouge_l"] > 0.6
    assert sys.getrecursionlimit() == limit


def test_answers_may_be_as_long_as_the_official_script_lets_them(tmp_path: Path) -> None:
    """A summary has 512 tokens, a name 32, whatever the length of the references."""
    assert opened(tmp_path, "gov_report", "word " * 900)[1].max_new_tokens == 512
    assert opened(tmp_path, "hotpotqa", "Rome")[1].max_new_tokens == 32
    suite = Qa(data=f"longbench:{tmp_path / 'data.jsonl'}", max_new_tokens=7)
    assert next(suite.samples(WordTokenizer(), seed=0)).max_new_tokens == 7


def test_where_the_paper_does_not_say_an_abstention_is_right(tmp_path: Path) -> None:
    """Its references say unanswerable, which no prompt of ours asks for."""
    suite, sample = opened(tmp_path, "qasper", "unanswerable", "Unanswerable")
    (question,) = sample.questions
    assert question.targets == ()
    scores = [suite.score(question, said, "")["f1"] for said in ("not in the text", "Rome")]
    assert scores == [1.0, 0.0]
    hallucination = Hallucination(data=f"longbench:{tmp_path / 'data.jsonl'}")
    assert hallucination.score(question, "not in the text", "")["abstained"] == 1


def test_classes_are_those_of_the_row_and_never_guessed(tmp_path: Path) -> None:
    """A row of a classification has them; an answer without them has no score."""
    with pytest.raises(UserError, match="'all_classes' is empty"):
        opened(tmp_path, "trec", "City", all_classes=[])
    suite, sample = opened(tmp_path, "trec", "City")
    assert sample.questions[0].choices == tuple(CLASSES)
    unknown = Question("q", "?", ("City",), {"task": "trec"})
    assert "class_share" not in suite.score(unknown, "City", "")


def test_a_package_that_is_missing_is_named_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks that need it are refused with what to install, others are read."""
    monkeypatch.setitem(sys.modules, "rouge", None)
    with pytest.raises(UserError, match=r"the package rouge, .*gist-bench\[published\]"):
        opened(tmp_path, "gov_report", "Rome")
    assert opened(tmp_path, "hotpotqa", "Rome")[0].metrics == ("f1", "contains")


def test_a_task_of_another_data_set_is_refused_by_name(tmp_path: Path) -> None:
    """The line names the task and those that there are."""
    with pytest.raises(UserError, match=r"no task 'squad'.*narrativeqa"):
        opened(tmp_path, "squad", "Rome")
