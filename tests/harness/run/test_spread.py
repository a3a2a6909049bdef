"""Samples that fit into a time are spread over documents and kinds of questions."""

from pathlib import Path

import pytest

from harness.api import Question, Sample
from harness.run.spec import Spec, build
from harness.run.spread import Rate, document_of, fit, write_samples
from tests.support.fake_tokenizers import WordTokenizer

RATE = Rate(read_s=0.01, question_s=1.0)


def sample(name: str, questions: int = 6) -> Sample:
    """Return a context of 100 characters (1 s) with questions of two kinds (1 s each)."""
    asked = tuple(
        Question(str(n), f"Q{n}?", ("x",) if n < questions // 2 else (),
                 {"kind": "lookup" if n < questions // 2 else "unanswerable"})
        for n in range(questions)
    )  # fmt: skip
    return Sample(name, "word " * 20, asked, 8)


SAMPLES = [sample(f"{document}#{n}") for document in "abc" for n in range(1, 5)]


@pytest.mark.parametrize("seconds", [3, 10, 25, 60, 1000])
def test_what_is_chosen_fits_the_time(seconds: float) -> None:
    """And more time asks at least as many questions."""
    chosen = fit(SAMPLES, RATE, seconds)
    assert RATE.seconds(chosen) <= seconds
    more = fit(SAMPLES, RATE, 2 * seconds)
    assert RATE.seconds(more) >= RATE.seconds(chosen)


@pytest.mark.parametrize("seconds", [7, 12, 30])
def test_every_document_is_asked_about_before_any_twice(seconds: float) -> None:
    """Contexts are taken in turn from the documents, with fewer questions where time is short."""
    documents = [document_of(one) for one in fit(SAMPLES, RATE, seconds)]
    assert set(documents[:3]) == {"a", "b", "c"}
    assert max(map(documents.count, "abc")) - min(map(documents.count, "abc")) <= 1


def test_left_out_questions_are_of_all_kinds() -> None:
    """Half of the questions are half of each kind, and an odd one goes to each in turn."""
    chosen = fit(SAMPLES, RATE, 3 * (1 + 3))
    kinds = [q.slices["kind"] for one in chosen for q in one.questions]
    assert len(kinds) == 9
    assert abs(kinds.count("lookup") - kinds.count("unanswerable")) <= 1


def test_with_no_time_one_question_is_asked() -> None:
    """A slow model still answers something."""
    (only,) = fit(SAMPLES, RATE, 0.1)
    assert len(only.questions) == 1


def test_a_written_sample_is_read_back_as_it_was(tmp_path: Path) -> None:
    """Contexts, questions, answers, kinds and support survive the file."""
    from harness.run import plugins

    path = tmp_path / "asked.jsonl"
    write_samples(path, SAMPLES)
    suite = build(plugins.load(plugins.SUITES, "qa"), Spec("qa", {"data": str(path)}))
    read = list(suite.samples(WordTokenizer(), 0))
    assert [(one.id, one.context, one.questions) for one in read] == [
        (one.id, one.context, one.questions) for one in SAMPLES
    ]
