"""A plug-in that cannot work is found by name, before the model is loaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from harness.api import Question, Sample, Tokenizer
from harness.errors import UserError
from harness.run import plugins
from harness.run.choose import choose_suites
from tests.support.fakes import Scored

HERE = "tests.harness.run.test_plugins"


@dataclass
class Misnamed(Scored):
    """Its score has another name than it declares."""

    metrics: ClassVar[tuple[str, ...]] = ("rigth", "optional")


@dataclass
class Sliceless:
    """It forgot a declaration."""

    metrics: ClassVar[tuple[str, ...]] = ("right",)

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Return nothing: it is never reached."""
        raise NotImplementedError

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Return nothing: it is never reached."""
        raise NotImplementedError


@dataclass
class OneText(Scored):
    """A text is a sequence of letters, each of them a name."""

    metrics: ClassVar[tuple[str, ...]] = "right"  # type: ignore[assignment]


@dataclass
class WithoutContext(Scored):
    """Its score takes what an earlier version gave."""

    def score(self, question: Question, answer: str) -> Mapping[str, float]:  # type: ignore[override]
        """Return nothing: it is never reached."""
        del question, answer
        return {}


@dataclass
class NoMapping(Scored):
    """Its score is a number."""

    def score(self, question: Question, answer: str, context: str) -> float:  # type: ignore[override]
        """Return a bare number."""
        del question, answer, context
        return 1.0


@dataclass
class KnowsItsOwn(Scored):
    """It can score its own questions only."""

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Look the question up."""
        del answer, context
        return {"right": {"q0": 1.0}[question.id]}


@dataclass
class Scoreless:
    """A suite without `score`, and no backend either."""

    metrics: ClassVar[tuple[str, ...]] = ("right",)

    def samples(self) -> None:
        """Return nothing: it is never reached."""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Misnamed", "returns the metric 'right', .* Did you mean 'rigth'"),
        ("OneText", "metrics='right' must be a tuple of names"),
        ("Sliceless", "class Sliceless has no 'slice_names'. Give a tuple of names"),
        ("WithoutContext", r"score\(question, answer, context\) cannot be called"),
        ("NoMapping", "score returns 1.0. It must return a mapping"),
        ("Scoreless", "class Scoreless has no method 'score'"),
    ],
)
def test_a_suite_that_cannot_score_is_found_before_the_model(name: str, words: str) -> None:
    """A metric under another name, a score that is missing or of another kind."""
    with pytest.raises(UserError, match=words) as refused:
        choose_suites([f"{HERE}:{name}"])
    assert name in str(refused.value)


def test_a_suite_that_scores_its_own_questions_only_is_taken() -> None:
    """A made-up question cannot be held against it."""
    ((choice, _),) = choose_suites([f"{HERE}:KnowsItsOwn"])
    assert choice.kind.__name__ == "KnowsItsOwn"


def test_a_backend_without_a_method_is_named() -> None:
    """A class that is something else is no backend."""
    with pytest.raises(UserError, match="no backend: its class Scoreless has no method 'prepare'"):
        plugins.load(plugins.BACKENDS, f"{HERE}:Scoreless")


@pytest.mark.parametrize("code", ["x = (", "1 / 0", "raise Exception('own')", "{}['k']"])
def test_a_module_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Whatever it raises when it is imported."""
    module = f"failing_{abs(hash(code))}"
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=f"'{module}:X' cannot be imported") as refused:
        plugins.load(plugins.SUITES, f"{module}:X")
    assert "\n" not in str(refused.value)
