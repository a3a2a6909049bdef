"""What a file gives to training: questions that a context does not answer, and right answers."""

import json
from pathlib import Path

import pytest

from harness.api import ABSTENTION
from harness.run.training_data import Feed, feed
from tests.support.fake_tokenizers import WordTokenizer

NAMES = ("Ann", "Bob", "Cyd", "Dan", "Eve", "Fay")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Contexts that share one question, and hold the answer to no other of the others'."""
    rows = [
        {
            "id": name,
            "context": f"{name} rents flat {number}{number}.",
            "questions": [
                {
                    "id": "1",
                    "question": f"Where does {name} live?",
                    "answers": [f"{number}{number}"],
                },
                {"id": "2", "question": "Who rents it?", "answers": [name.upper(), name]},
            ],
        }
        for number, name in enumerate(NAMES)
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def fed(data: Path, unanswerable: float) -> Feed:
    """Return what the file gives to training."""
    return feed(f"qa,data={data}", WordTokenizer(), hold=0, unanswerable=unanswerable)


def test_questions_of_other_contexts_have_no_answer(data: Path) -> None:
    """They are not the context's own, nor one that it could answer; the others stay as they are."""
    asked = [(c, pair) for c, pairs in fed(data, 1.0).source(0) for pair in pairs]
    foreign = [(context, question) for context, (question, answer) in asked if answer == ABSTENTION]
    assert len(foreign) == len(asked) == 2 * len(NAMES)
    for context, question in foreign:
        assert question != "Who rents it?"
        assert context.split()[0] not in question


def test_the_share_of_unanswerable_questions_is_kept(data: Path) -> None:
    """And contexts, their order and the other questions are those of a training without."""
    plain = list(fed(data, 0.0).source(3))
    asked = [list(fed(data, 0.3).source(seed)) for seed in range(40)]
    answers = [answer for items in asked for _, pairs in items for _, answer in pairs]
    assert answers.count(ABSTENTION) / len(answers) == pytest.approx(0.3, abs=0.08)
    assert [context for context, _ in asked[3]] == [context for context, _ in plain]
    for (_, pairs), (_, before) in zip(asked[3], plain, strict=True):
        assert {pair for pair in pairs if pair[1] != ABSTENTION} <= set(before)


def test_the_answer_is_learnt_as_the_context_writes_it(data: Path) -> None:
    """Of several accepted answers, one that stands in the text."""
    for context, pairs in fed(data, 0.0).source(0):
        assert all(answer in context for _, answer in pairs)
