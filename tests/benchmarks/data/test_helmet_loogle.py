"""HELMET and LooGLE: their rows are read as published, and scored as their own scripts do.

The expected figures are those of the scripts (princeton-nlp/HELMET, utils.py and data.py;
bigai-nlco/LooGLE, Evaluation/automatic_metrics.py), computed by hand.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.qa import Qa
from harness.api import Sample
from harness.errors import UserError
from tests.support.fake_tokenizers import WordTokenizer
from tests.support.published import HELMET, HELMET_KV, HELMET_NIAH, LOOGLE, LOOGLE_CLOZE


def opened(folder: Path, name: str, *rows: Any) -> tuple[Qa, list[Sample]]:
    """Write a file and return the suite over it with its samples."""
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    suite = Qa(data=f"{name}:{path}")
    return suite, list(suite.samples(WordTokenizer(), seed=0))


def test_helmet_tells_its_tasks_by_their_fields(tmp_path: Path) -> None:
    """Each has its question, its length of answers and its metric."""
    vt = {"context": "VAR A = 5 VAR B = A", "query": "5", "num_v": 2, "outputs": ["A", "B"]}
    words = {"context": "1. a 2. b", "outputs": [f"word{n}" for n in range(10)]}
    coded = {"context": "xx yy xx", "outputs": ["xx", "yy", "zz"]}
    asked = {"context": "Document 1: a", "question": "Who?", "outputs": ["Ada"]}
    rows = (HELMET, HELMET_KV, HELMET_NIAH, vt, words, coded, asked)
    suite, found = opened(tmp_path, "helmet", *rows)
    assert [sample.questions[0].slices["task"] for sample in found] == [
        "rag", "json_kv", "niah", "vt", "cwe", "fwe", "qa"
    ]  # fmt: skip
    assert [sample.max_new_tokens for sample in found] == [20, 100, 100, 50, 100, 50, 50]
    rag, kv, niah, *_ = found
    assert rag.context == "Barn\nAda Byron painted it.\n\nMill\nIt grinds corn."
    assert rag.id == "7"
    assert "Key: c3" in kv.questions[0].text
    assert "are all the special magic numbers for red-hen" in niah.questions[0].text
    metrics = [{*suite.score(sample.questions[0], "x", "")} - {"contains"} for sample in found]
    part, share = {"subspan_match"}, {"string_match_all"}
    assert metrics == [part, part, share, share, share, share, part]


@pytest.mark.parametrize(
    ("row", "said", "metric", "value"),
    [
        (HELMET, "It was the Byron family.", "subspan_match", 1),
        (HELMET, "Byronic", "subspan_match", 1),  # a part of a word is a part
        (HELMET, "Ada", "subspan_match", 0),
        (HELMET_KV, "Corresponding value: d4", "subspan_match", 1),
        (HELMET_KV, "b2", "subspan_match", 0),
        (HELMET_NIAH, "41 and 52", "string_match_all", 1),
        (HELMET_NIAH, "52", "string_match_all", 0.5),
    ],
)
def test_helmet_has_the_metric_that_it_reports(
    tmp_path: Path, row: Any, said: str, metric: str, value: float
) -> None:
    """Targets that are part of the answer: one of them, or the share of them."""
    suite, (sample,) = opened(tmp_path, "helmet", row)
    assert suite.score(sample.questions[0], said, "")[metric] == value


def test_helmet_asks_of_each_order_of_the_passages(tmp_path: Path) -> None:
    """The same question stands in several rows: all are samples of their own."""
    other = {**HELMET, "ctxs": HELMET["ctxs"][::-1]}  # type: ignore[index]  # it is a list
    _, found = opened(tmp_path, "helmet", HELMET, other)
    assert len({sample.id for sample in found}) == 2
    assert found[1].context.startswith("Mill")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**HELMET, "qid": "1"}, "rows of msmarco are not read"),
        ({**HELMET, "docs": []}, "rows of alce are not read"),
        ({**HELMET, "ctxs": []}, "'ctxs' is empty"),
        ({**HELMET, "answers": []}, "there is no answer"),
        ({**HELMET_NIAH, "outputs": [" "]}, "there is no answer"),
        ({**HELMET_NIAH, "outputs": "41"}, "'outputs' is text; give a list"),
        ({**HELMET_KV, "answer": None}, "'answer' is null; give text"),
    ],
)
def test_what_is_not_helmet_is_refused_with_its_line(tmp_path: Path, row: Any, said: str) -> None:
    """In one line that says what is wrong."""
    with pytest.raises(UserError, match=f"line 1: .*{said}"):
        opened(tmp_path, "helmet", row)


def test_loogle_is_read_in_both_ways_that_it_writes_its_questions(tmp_path: Path) -> None:
    """As a list, and as the text of one; support is one sentence or several."""
    listed, written = LOOGLE, {**LOOGLE, "qa_pairs": str(LOOGLE["qa_pairs"])}
    _, (first, second) = opened(tmp_path, "loogle", listed, written)
    assert first.questions == second.questions
    (question,) = first.questions
    assert question.targets == ("Ada Byron painted it.",)
    assert question.support == ("Ada Byron painted the barn in May.",)
    assert question.slices == {"task": "qa", "type": "Multiple information retrieval"}
    assert first.max_new_tokens == 500
    summary = {**LOOGLE, "qa_pairs": "none", "output": "A barn was painted."}
    _, (sample,) = opened(tmp_path, "loogle", summary)
    assert sample.questions[0].slices == {"task": "summary"}
    assert sample.questions[0].targets == ("A barn was painted.",)


@pytest.mark.parametrize(
    ("said", "match", "overlap"),
    [
        ('{"<mask-0>": "Ada Byron", "<mask-1>": "May"}', 1, 1),
        ("{'<mask-0>': 'Ada', '<mask-1>': 'May'}", 0.5, 1),
        ('{"<mask-0>": "Bob", "<mask-1>": "may"}', 0, 0),
        ('{"<mask-1>": "May", "<mask-7>": "Ada Byron"}', 0.5, 0.5),
        ("Ada Byron in May", 0, 0),
        ("[1]", 0, 0),
        ('{"<mask-0>": ["Ada Byron"]}', 0, 0),
        ("", 0, 0),
        ("(" * 5000, 0, 0),
    ],
)
def test_a_cloze_is_scored_mask_by_mask(
    tmp_path: Path, said: str, match: float, overlap: float
) -> None:
    """JSON or a Python dictionary; any other answer names nothing."""
    suite, (sample,) = opened(tmp_path, "loogle", LOOGLE_CLOZE)
    (question,) = sample.questions
    assert "What are the masked entities?" in question.text
    assert sample.max_new_tokens == 50
    scores = suite.score(question, said, "")
    assert (scores["mask_match"], scores["mask_overlap"]) == (match, overlap)
    assert suite.metrics[:2] == ("mask_match", "mask_overlap")


@pytest.mark.parametrize(
    ("said", "longest", "words"),
    [
        ("Ada Byron painted it.", 1, 1),
        ("Ada Byron did.", 0.5, 0.5),
        ("it painted Ada", 0.25, 0.75),
        ("", 0, 0),
        (".", 0, 0),
    ],
)
def test_answers_in_words_have_the_recall_of_rouge(
    tmp_path: Path, said: str, longest: float, words: float
) -> None:
    """Of the reference's four words."""
    pytest.importorskip("rouge")
    suite, (sample,) = opened(tmp_path, "loogle", LOOGLE)
    scores = suite.score(sample.questions[0], said, "")
    assert scores["rouge_l_recall"] == pytest.approx(longest, abs=1e-6)
    assert scores["rouge_1_recall"] == pytest.approx(words, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"qa_pairs": "[{'Q': "}, "'qa_pairs' is no list"),
        ({"qa_pairs": "__import__('os')"}, "'qa_pairs' is no list"),
        ({"qa_pairs": []}, "give a list of questions"),
        ({"qa_pairs": ["Who?"]}, "qa_pairs 1: is text, not an object"),
        ({"qa_pairs": [{"Q": "Who?"}]}, "'A' is missing"),
        ({"qa_pairs": [{"Q": "Who?", "A": "Ada", "S": 5}]}, "'S' is a number"),
        ({"qa_pairs": "none"}, "'output' holds no summary"),
        ({"input": " "}, "'input' is blank"),
    ],
)
def test_what_is_not_loogle_is_refused_with_its_line(
    tmp_path: Path, changes: Any, said: str
) -> None:
    """Nothing in a file is run: a list is read, not evaluated."""
    with pytest.raises(UserError, match=f"line 1.*{said}"):
        opened(tmp_path, "loogle", {**LOOGLE, **changes})
