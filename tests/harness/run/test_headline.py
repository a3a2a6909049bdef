"""One headline for all backends of a suite, and answers that are more than a few words."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.api import Generation
from harness.errors import ContextTooLong, UserError
from harness.report.render import render
from harness.run.choose import choose_backends, choose_suites
from harness.run.engine import OneProcess
from harness.run.headline import declared, headline_of
from harness.run.metadata import RunMetadata
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.runner import run
from tests.support.commands import GistBench
from tests.support.fakes import FakeModel
from tests.support.rows import row, write_run

HERE = "tests.harness.run.test_headline"
TALKS = RunMetadata(model="talker", answers_in_sentences=True, reads_any_text=True)
QA = ("f1", "exact_match", "contains")


@dataclass
class TalkingModel(FakeModel):
    """A model that answers in sentences."""

    def describe(self) -> Mapping[str, Any]:
        """Say so."""
        return {**super().describe(), "answers_in_sentences": True, "reads_any_text": True}


@dataclass
class Talker:
    """A backend that thinks first; questions may have 6 words, and answers 4 tokens."""

    model: FakeModel
    held_bytes: int = 0

    def prepare(self, context: str) -> "Talker":
        """Keep nothing."""
        del context
        return self

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer, or think without end."""
        del min_new_tokens
        if any(len(question.split()) > 6 for question in questions):
            raise ContextTooLong("a question of too many words")
        self.model.log.append(f"asked {len(questions)}")
        return [
            Generation("<think>Without end", 1, 0, max_new_tokens, cut=True)
            if "cut" in question
            else Generation("<think>Is it Rome?</think>It is Rome.", 1, 0, 3)
            for question in questions
        ]

    def describe(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    def close(self) -> None:
        """Do nothing."""


def execute(folder: Path, model: FakeModel, *, headline: str = "") -> Path:
    """Run qa on a context with four questions, the second of them too long."""
    folder.mkdir(exist_ok=True)
    texts = ("Where?", "Where, at " + "great " * 9 + "length?", "Where is it cut?", "And where?")
    questions = [
        {"id": f"q{number}", "question": text, "answers": ["Rome"]}
        for number, text in enumerate(texts)
    ]
    line = {"id": "s", "context": "Ada lives in Rome.", "questions": questions}
    questions[-1]["answers"] = ["Rome", "word " * 40]
    questions[1]["answers"] = ["word " * 40]
    data = folder / "data.jsonl"
    data.write_text(json.dumps(line))
    suites, backends = choose_suites([f"qa,data={data}"]), choose_backends([f"{HERE}:Talker"])
    plan = make_plan(model, suites, backends, Settings(batch_size=4))
    return run(plan, OneProcess(model), out=folder, command="run", headline=headline)


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a run."""
    with (folder / "records.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("metrics", "in_sentences", "expected"),
    [
        (QA, True, "contains"),
        (QA, False, "f1"),
        (("exact_match", "contains"), True, "contains"),
        (("f1", "exact_match"), True, "f1"),
        (("accuracy", "contains"), True, "accuracy"),  # it minds no sentence around the answer
        (("points", "contains"), True, "points"),  # nobody knows what it minds
    ],
)
def test_sentences_are_judged_by_what_they_contain(
    metrics: tuple[str, ...], in_sentences: bool, expected: str
) -> None:
    """Where the first metric of a suite compares whole answers."""
    assert headline_of(metrics, in_sentences=in_sentences) == expected


def test_runs_that_are_shown_together_have_one_headline() -> None:
    """What is asked for, what a run names, what all models need; old runs keep the suite's own."""
    assert declared("qa", QA, [TALKS, TALKS]).metrics == ("contains", "f1", "exact_match")
    assert declared("qa", QA, [TALKS, RunMetadata()]).metrics == QA
    named = replace(TALKS, headline="exact_match")
    assert declared("qa", QA, [TALKS, named]).metrics[0] == "exact_match"
    assert declared("qa", QA, [TALKS, named], "f1").metrics == QA
    assert declared("qa", QA, [TALKS], "accuracy").metrics[0] == "contains"
    assert declared("qa", (), [TALKS]).metrics == ()


def test_the_order_of_metrics_is_that_of_the_run() -> None:
    """A data set has metrics of its own in a suite; rows have them by the alphabet."""
    run = RunMetadata(metrics={"qa,data=ruler:x": ("string_match_all", "contains")})
    filled = ("contains", "string_match_all")
    assert declared("qa,data=ruler:x", filled, [run]).metrics == ("string_match_all", "contains")


def test_one_question_that_is_too_long_fails_alone(tmp_path: Path) -> None:
    """The others of its batch are asked one by one, and have their own times."""
    model = FakeModel()
    rows = rows_of(execute(tmp_path, model))
    assert [row["error"] for row in rows] == ["", "context_too_long", "", ""]
    assert [row["notice"] for row in rows] == ["", "a question of too many words", "", ""]
    assert [row["batch_id"] for row in rows] == ["s#0.0", "", "s#0.2", "s#0.3"]
    assert [row["batch_size"] for row in rows] == ["1", "", "1", "1"]
    assert rows[1]["prepare_s"] == rows[0]["prepare_s"] != ""
    assert rows[1]["generate_s"] == ""


def test_a_thought_is_stored_and_not_scored(tmp_path: Path) -> None:
    """The row has the text as it was generated, and the score of what follows the thought."""
    first, _, cut, _ = rows_of(execute(tmp_path, FakeModel()))
    assert first["answer"] == "<think>Is it Rome?</think>It is Rome."
    assert (first["contains"], first["answer_words"], first["thought_words"]) == ("1", "3", "3")
    assert (first["cut"], cut["cut"]) == ("0", "1")
    assert (cut["contains"], cut["answer_words"], cut["thought_words"]) == ("0", "0", "2")


def test_the_table_says_what_is_compared_and_what_was_cut(tmp_path: Path) -> None:
    """Headline, thoughts, cut answers, and a limit that was raised."""
    folder = execute(tmp_path, TalkingModel())
    text = render([folder], markdown=True)
    (header,) = (line for line in text.splitlines() if "exact_match" in line and "|" in line)
    assert [cell.strip() for cell in header.strip("|").split("|")][:6] == [
        "backend", "contains", "f1", "exact_match", "answer_words", "n",
    ]  # fmt: skip
    assert "Headline: contains, since fake answers in sentences." in text
    assert f"1 of 3 answers were cut at 64 tokens, before they had ended: {HERE}:Talker 1." in text
    assert "3 of 3 answers began with a thought, which is not scored" in text
    assert "answers have up to 40 tokens, so max_new_tokens is 64, not 32." in text
    assert "Headline: f1, as --headline says." in render([folder], headline="f1")
    with pytest.raises(UserError, match=r"'contain'.*Did you mean 'contains'"):
        render([folder], headline="contain")


@pytest.mark.parametrize("new_to_them", [True, False])
def test_rows_are_held_out_only_from_a_model_that_knows_the_templates(
    new_to_them: bool, tmp_path: Path
) -> None:
    """For any other model the unseen templates are as new as the seen ones."""
    rows = [row("full", at, f1=float(at < 10), template="seen") for at in range(10)]
    rows += [row("full", 10 + at, f1=0.0, template="unseen") for at in range(10)]
    known = {"configuration": {"model_description": {"reads_any_text": new_to_them}}}
    text = render([write_run(tmp_path / "run", rows, known)])
    assert ("held-out rows" in text) != new_to_them
    assert ("0.50 [" in text.partition("f1 by template")[0]) == new_to_them


def test_a_headline_is_kept_and_changes_no_row(tmp_path: Path) -> None:
    """The same run with another headline is the same folder, and nothing is asked again."""
    model = TalkingModel()
    folder = execute(tmp_path, model)
    asked = len(model.log)
    assert execute(tmp_path, model, headline="f1") == folder
    assert len(model.log) == asked
    assert json.loads((folder / "run.json").read_text())["headline"] == "f1"
    assert "Headline: f1, as --headline says." in render([folder])
    execute(tmp_path, model)
    assert "Headline: contains" in render([folder])


def test_an_unknown_headline_is_refused_before_a_model_is_loaded(gist_bench: GistBench) -> None:
    """One line, with what there is."""
    code, _, err = gist_bench("run", "--suite", "passkey", "--headline", "f1", "--model", "none")
    assert code == 2
    assert "--headline 'f1': no suite has such a score. Scores: contains, exact_match." in err
