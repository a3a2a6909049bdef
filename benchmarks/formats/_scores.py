"""Scores that several data sets share."""

from collections.abc import Mapping

from benchmarks.scoring import exact_match, f1
from harness.api import Question


def squad_scores(question: Question, answer: str) -> Mapping[str, float]:
    """Return `f1` and `exact_match` as SQuAD defines them; see `benchmarks.scoring`."""
    return {
        "f1": f1(answer, question.targets),
        "exact_match": exact_match(answer, question.targets),
    }


def matched(question: Question, answer: str) -> Mapping[str, float]:
    """Return `exact_match` alone."""
    return {"exact_match": exact_match(answer, question.targets)}
