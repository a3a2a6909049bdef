"""HELMET and LooGLE: their rows are read as published, and scored as their own scripts do.

The expected figures are those of the scripts (princeton-nlp/HELMET, utils.py and data.py;
bigai-nlco/LooGLE, Evaluation/automatic_metrics.py), computed by hand.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.qa import Qa
from harness.api import Sample
from harness.errors import UserError
from tests.support.fake_tokenizers import WordTokenizer
from tests.support.published import (
    ASQA,
    BOOK_CHOICE,
    BOOK_QA,
    BOOK_SUM,
    HELMET,
    HELMET_KV,
    HELMET_NIAH,
    HELMET_RERANK,
    ICL,
    LEXSUM,
    LOOGLE,
    LOOGLE_CLOZE,
    NARRATIVEQA,
    QAMPARI,
)

LOG3 = math.log2(3)  # by which the second rank counts less


def opened(folder: Path, name: str, *rows: Any) -> tuple[Qa, list[Sample]]:
    """Write a file and return the suite over it with its samples."""
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    suite = Qa(data=f"{name}:{path}")
    return suite, list(suite.samples(WordTokenizer(), seed=0))


def test_helmet_tells_its_tasks_by_their_fields(tmp_path: Path) -> None:
    """Each has its question, its length of answers and its metric."""
    pytest.importorskip("rouge_score")
    vt = {"context": "VAR A = 5 VAR B = A", "query": "5", "num_v": 2, "outputs": ["A", "B"]}
    words = {"context": "1. a 2. b", "outputs": [f"word{n}" for n in range(10)]}
    coded = {"context": "xx yy xx", "outputs": ["xx", "yy", "zz"]}
    asked = {"context": "Document 1: a", "question": "Who?", "outputs": ["Ada"]}
    told = {"context": "Ada.", "question": "Who?", "answer": ["Ada"], "demo": ""}
    expected: list[tuple[dict[str, Any], str, int, str]] = [
        (HELMET, "rag", 20, "subspan_match"),
        (HELMET_KV, "json_kv", 100, "subspan_match"),
        (HELMET_NIAH, "niah", 100, "string_match_all"),
        (vt, "vt", 50, "string_match_all"),
        (words, "cwe", 100, "string_match_all"),
        (coded, "fwe", 50, "string_match_all"),
        (asked, "qa", 50, "subspan_match"),
        (HELMET_RERANK, "rerank", 200, "ndcg_at_10"),
        (ASQA, "asqa", 300, "str_em"),
        (QAMPARI, "qampari", 300, "recall_top5"),
        (NARRATIVEQA, "narrativeqa", 100, "rouge_l_stemmed"),
        (told, "narrativeqa", 100, "rouge_l_stemmed"),
        (BOOK_QA, "book_qa", 10, "rouge_l_stemmed"),
        (BOOK_CHOICE, "book_choice", 10, "exact_match"),
        (BOOK_SUM, "book_sum", 1200, "rouge_l_stemmed"),
        (LEXSUM, "multi_lexsum", 400, "rouge_l_stemmed"),
        (ICL, "icl", 20, "exact_match"),
    ]
    suite, found = opened(tmp_path, "helmet", *(row for row, *_ in expected))
    for sample, (_, task, longest, metric) in zip(found, expected, strict=True):
        (question,) = sample.questions
        assert (question.slices["task"], sample.max_new_tokens) == (task, longest)
        assert {*suite.score(question, "x", "")} == {metric, "contains"}
    rag, kv, niah, *_ = found
    assert rag.context == "Barn\nAda Byron painted it.\n\nMill\nIt grinds corn."
    assert rag.id == "7"
    assert "Key: c3" in kv.questions[0].text
    assert "are all the special magic numbers for red-hen" in niah.questions[0].text


def test_helmet_says_what_an_official_score_needs_beside_the_answer(tmp_path: Path) -> None:
    """A line names the model by which HELMET judges; other tasks are scored in full."""
    pytest.importorskip("rouge_score")
    _, found = opened(tmp_path, "helmet", NARRATIVEQA, BOOK_SUM, LEXSUM, ASQA, QAMPARI, BOOK_QA)
    named = ["GPT-4", "GPT-4", "GPT-4", "t5_xxl_true_nli_mixture", "t5_xxl_true_nli_mixture", ""]
    assert all(name in sample.notice for name, sample in zip(named, found, strict=True))
    assert not found[-1].notice


def test_helmet_shows_each_document_with_the_number_to_cite_or_rank_it_by(tmp_path: Path) -> None:
    """ALCE's files are one list; its documents have no numbers of their own."""
    path = tmp_path / "asqa.json"
    path.write_text(json.dumps([ASQA, ASQA]), encoding="utf-8")
    cited, _ = Qa(data=f"helmet:{path}").samples(WordTokenizer(), seed=0)
    assert cited.context.splitlines() == [
        "Document [1](Title: Barn): Ada Byron painted it.",
        "",
        "Document [2](Title: Year): It was in May.",
    ]
    _, (ranked,) = opened(tmp_path, "helmet", HELMET_RERANK)
    assert ranked.context.splitlines()[::2] == [
        "[ID: 4] Document: It grinds corn.",
        "[ID: 7] Document (Title: Barn): Ada Byron painted it.",
        "[ID: 8] Document: It is red.",
    ]


def test_helmet_reads_books_as_published_and_as_its_loader_writes_them(tmp_path: Path) -> None:
    """There the options are a text, and the right one stands behind its letter."""
    loaded = {
        **BOOK_CHOICE,
        "options": "A. Bo\nB. Ada\nC. Cy\nD. Di",
        "answer": ["B", "B. Ada"],
        "demo": "",
    }
    _, (first, second) = opened(tmp_path, "helmet", BOOK_CHOICE, loaded)
    assert first.questions == second.questions
    assert first.questions[0].targets == ("B", "B. Ada")
    assert "\nD. Di\n" in first.questions[0].text


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
        (HELMET_RERANK, "Ranking: ID7 > ID8 > ID4", "ndcg_at_10", 1),
        (HELMET_RERANK, "[8] > [7]", "ndcg_at_10", (1 + 3 / LOG3) / (3 + 1 / LOG3)),
        (HELMET_RERANK, "1. 4 > 8 > 8 > 7", "ndcg_at_10", (1 / LOG3 + 1.5) / (3 + 1 / LOG3)),
        (HELMET_RERANK, "the red one", "ndcg_at_10", 0),
        (ASQA, "Byron [1] did, in\n[2] May.", "str_em", 1),
        (ASQA, "The painter [1][2] was Ada Byron.", "str_em", 0.5),
        (QAMPARI, "Marazan [1], Piper [2].", "recall_top5", 2 / 3),
        (QAMPARI, "Marazan, the best, no", "recall_top5", 1 / 3),
        (ICL, "label: 17\n\nNext", "exact_match", 1),
        (ICL, "Label 17", "exact_match", 0),
        (ICL, "17", "exact_match", 1),
        (BOOK_CHOICE, "B", "exact_match", 1),
        (BOOK_CHOICE, "Answer: B. Ada", "exact_match", 1),
        (BOOK_CHOICE, "I think b. ada is", "exact_match", 1),
        (BOOK_CHOICE, "Ada", "exact_match", 0),
        ({**BOOK_CHOICE, "answer": ["Bo"]}, "", "exact_match", 0),
        (BOOK_QA, "Answer: Ada\nBecause it says so", "rouge_l_stemmed", 1),
        (LEXSUM, "Summary: city sued", "rouge_l_stemmed", 0.5),
    ],
)
def test_helmet_has_the_metric_that_it_reports(
    tmp_path: Path, row: Any, said: str, metric: str, value: float
) -> None:
    """By hand; an answer of nothing but an article is no answer, whatever the script says."""
    pytest.importorskip("rouge_score")
    suite, (sample,) = opened(tmp_path, "helmet", row)
    assert suite.score(sample.questions[0], said, "")[metric] == pytest.approx(value)


def test_helmet_asks_of_each_order_of_the_passages(tmp_path: Path) -> None:
    """The same question stands in several rows: all are samples of their own."""
    other = {**HELMET, "ctxs": HELMET["ctxs"][::-1]}  # type: ignore[index]  # it is a list
    _, found = opened(tmp_path, "helmet", HELMET, other)
    assert len({sample.id for sample in found}) == 2
    assert found[1].context.startswith("Mill")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "Who?"}, "no row of HELMET's tasks rag, json_kv"),
        ({**ASQA, "docs": []}, "'docs' is empty"),
        ({**ASQA, "qa_pairs": None}, "'answers' is missing"),
        ({**QAMPARI, "answers": []}, "there is no answer"),
        ({**HELMET_RERANK, "ctxs": HELMET_RERANK["ctxs"][:1]}, "there is no answer"),
        ({**BOOK_CHOICE, "answer": ["Eve"]}, "'answer' is none of the 'options'"),
        ({**ICL, "context": "Where is it?"}, "no examples with a label"),
        ({**LEXSUM, "summary/short": None}, "'summary/short' is null; give text"),
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
    pytest.importorskip("nltk")
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
