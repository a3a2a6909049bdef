"""Data sets that are read as they were published: small files written here in their layouts."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data.formats import choices
from benchmarks.qa import Qa
from harness.api import Question, Sample
from harness.errors import UserError
from tests.support.fake_tokenizers import WordTokenizer
from tests.support.published import LEVAL, MUSIQUE, QASPER, QUALITY


def samples(path: Path, name: str, *rows: Any) -> list[Sample]:
    """Write a file and return the samples that it becomes."""
    path = path / "data"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return list(Qa(data=f"{name}:{path}").samples(WordTokenizer(), seed=0))


def test_quality_asks_with_options(tmp_path: Path) -> None:
    """The label counts from 1; the letter and the words of the option are right."""
    (sample,) = samples(tmp_path, "quality", QUALITY)
    (question,) = sample.questions
    assert sample.context == "Ada chose the red door."
    assert "\nB. The red door\n" in question.text
    assert question.targets == ("B", "The red door")
    wrong = {**QUALITY, "questions": [{**QUALITY["questions"][0], "gold_label": 5}]}  # type: ignore[dict-item]  # it is one
    with pytest.raises(UserError, match="'gold_label' is 5, and there are 4"):
        samples(tmp_path, "quality", wrong)


def test_leval_has_several_right_options(tmp_path: Path) -> None:
    """All have to be named; tasks for a judge are refused by name."""
    (sample,) = samples(tmp_path, "leval", LEVAL)
    assert [question.targets[0] for question in sample.questions] == ["A", "BC"]
    suite = Qa(data=f"leval:{tmp_path / 'data'}")
    scores = [suite.score(sample.questions[1], said, "") for said in ("B and C", "B", "C, B")]
    assert [one["choice_accuracy"] for one in scores] == [1, 0, 1]
    with pytest.raises(UserError, match="evaluated by 'LLM' are not read"):
        samples(tmp_path, "leval", {**LEVAL, "evaluation": "LLM"})


def test_musique_has_pairs_with_and_without_an_answer(tmp_path: Path) -> None:
    """Aliases are accepted, support is known, and the second of a pair has no answer."""
    both = samples(tmp_path, "musique", MUSIQUE, {**MUSIQUE, "answerable": False})
    first, second = (sample.questions[0] for sample in both)
    assert [sample.id for sample in both] == ["2hop__1_2", "2hop__1_2.unanswerable"]
    assert first.targets == ("Rome", "Roma")
    assert first.support == ("Ada was born in Rome.",)
    assert first.slices["hops"] == "2"
    assert second.targets == ()
    assert "Bo was not." in both[0].context


def test_qasper_answers_are_of_four_kinds(tmp_path: Path) -> None:
    """Spans, free text, yes or no, and nothing where the paper does not say."""
    (sample,) = samples(tmp_path, "qasper", {"1234.5": QASPER})
    assert [question.targets for question in sample.questions] == [
        ("BERT, GPT",), ("A model",), ("No",), ()
    ]  # fmt: skip
    assert "We try." in sample.context
    assert "Method" in sample.context
    assert sample.questions[0].support == ("We use BERT.",)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("B", True),
        ("(B)", True),
        ("b.", True),
        ("B. The red door", True),
        ("B) The red door", True),
        ("The correct answer is (B)", True),
        ("The answer is B.", True),
        ("Answer: B", True),
        ("The red door", True),
        ("It was the red door, I think", True),
        ("A", False),
        ("A door that is red", False),
        ("A red door", True),
        ("The correct answer is (A), not (B).", False),
        ("", False),
        ("not in the text", False),
        ("B and C", False),
    ],
)
def test_an_answer_chooses_by_letter_or_by_words(answer: str, right: bool) -> None:
    """The article A is no option, and two options are not one."""
    question = Question("q", "Which?", ("B", "The red door"))
    assert choices.score(question, answer)["choice_accuracy"] == float(right)
