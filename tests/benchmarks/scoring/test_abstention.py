"""What counts as an abstention, tried on answers of models that nobody here wrote."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks.scoring.abstention import abstained, is_sentinel
from harness.api import ABSTENTION
from tests.support.paths import DATA
from tests.support.squad import EXCERPT, predictions

HALUEVAL = DATA / "halueval"
OURS = DATA / "abstention"


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "answer",
    [
        ABSTENTION,
        ABSTENTION.upper(),
        f'"{ABSTENTION}".',
        f"  {ABSTENTION}!\n",
        f"Answer: {ABSTENTION}",
        f"{ABSTENTION.capitalize()}. The text only speaks of London.",
        f"{ABSTENTION}\n\nQuestion: Where does Ada live?",
    ],
)
def test_sentinel_counts_whatever_its_case_and_punctuation(answer: str) -> None:
    """The sentence that the prompt asks for is an abstention, whatever surrounds it."""
    assert is_sentinel(answer)
    assert abstained(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "N/A",
        "Unknown.",
        "No answer",
        "Not mentioned.",
        "It is not stated in the text.",
        "The answer is not in the passage.",
        "Where Ada lives is not mentioned in the given text.",
        "The text does not mention where Ada lives.",
        "The passage doesn\N{RIGHT SINGLE QUOTATION MARK}t explicitly say.",
        "Based on the text, the context does not provide the name.",
        "There is no information about Ada.",
        "Not enough information.",
        "There is no evidence for it in the text.",
        "I don't know.",
        "I'm sorry, but I do not know where Ada lives.",
        "It cannot be determined from the text.",
        "Unfortunately, the question can't be answered.",
        "It is unclear.",
        "Cannot be determined.",
        "I'm not sure.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m not sure who it was.",
        "im not sure",
        "Unable to determine.",
        "The owner is not provided.",
        "There isn't enough information.",
        "The text speaks of the bridge. It does not say who designed it.",
        "While the text names Ada, it does not say when she was born.",
    ],
)
def test_refusal_in_words_is_an_abstention(answer: str) -> None:
    """Models that do not keep to the prompt refuse in forms that are listed."""
    assert abstained(answer)
    assert not is_sentinel(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "London",
        "in the text",
        "not",
        "None of the bridges",
        "The text does not say it outright, but Ada lives in London.",
        "I don't know for sure. However, Ada may live in London.",
        "Ada lives in London. Her age is not mentioned in the text.",
        "unknown soldiers",
        "no indication",
        "The report does not mention costs above 900 euros.",
        "I cannot tell a lie",
        "He gave no answer.",
        "I don't know. Probably London.",
        "No information desk is open.",
        "not found in any other group of chloroplasts",
        "it cannot be written as the knot sum of two nontrivial knots",
        "it is not known if they are distinct or equal classes",
        ". London",
        "Noinput Street",
    ],
)
def test_claim_is_no_abstention(answer: str) -> None:
    """An answer that says something is an answer, also where it sounds like a refusal."""
    assert not abstained(answer)


def rates(given: Iterable[tuple[str, bool]]) -> tuple[float, float]:
    """Return precision and recall over answers, each with whether it abstains."""
    found = [(abstained(answer), abstains) for answer, abstains in given]
    right = sum(said and abstains for said, abstains in found)
    said, all_of_them = (sum(column) for column in zip(*found, strict=True))
    return right / said, right / all_of_them


def test_refusals_are_told_from_answers_that_sound_like_them() -> None:
    """Of hundreds of refusals and claims of many forms, at most 5 in 100 are mistaken."""
    rows = read(OURS / "phrases.jsonl")
    refusals = sum(bool(row["abstains"]) for row in rows)
    assert min(refusals, len(rows) - refusals) > 500
    precision, recall = rates((row["answer"], bool(row["abstains"])) for row in rows)
    assert precision >= 0.95
    assert recall >= 0.95


SUBJECTS = ("It", "That", "The answer", "The price of the house", "Her age", "Who paid")
TEXTS = ("text", "passage", "document", "article", "provided context", "report", "contract", "memo")
SILENT = ("does not say", "doesn't mention it", "never says who paid", "gives no information on it")


@pytest.mark.parametrize("ending", [".", " in the text.", " in this passage.", " by the author."])
@pytest.mark.parametrize("verb", ["is not", "isn't", "was never", "has not been"])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_what_is_said_to_be_unsaid_is_a_refusal(subject: str, verb: str, ending: str) -> None:
    """Whatever it is, and in whatever tense."""
    for said in ("mentioned", "stated", "specified", "indicated"):
        assert abstained(f"{subject} {verb} {said}{ending}")
        assert abstained(f"I'm sorry, but {subject[0].lower()}{subject[1:]} {verb} {said}{ending}")


@pytest.mark.parametrize("says", SILENT)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_is_said_to_be_silent_is_a_refusal(text: str, says: str) -> None:
    """Whatever kind of text it is, with a courtesy or a hedge in front of it or none."""
    for front in ("The ", "This ", "Unfortunately, the ", "I looked, but the ", "It seems the "):
        assert abstained(f"{front}{text} {says}.")


@pytest.mark.parametrize("text", TEXTS)
def test_what_a_text_reports_is_a_claim(text: str) -> None:
    """Also where the report has a negation in it."""
    for said in ("says that he never returned", "was lost", "costs nothing", "is not long"):
        assert not abstained(f"The {text} {said}.")


LANGUAGES = read(OURS / "languages.jsonl")


@pytest.mark.parametrize("language", sorted({row["language"] for row in LANGUAGES}))
def test_refusals_of_other_languages_are_recognised(language: str) -> None:
    """The commonest phrases of each language abstain, and its answers do not."""
    rows = [row for row in LANGUAGES if row["language"] == language]
    assert [
        row["answer"] for row in rows if abstained(row["answer"]) != bool(row["abstains"])
    ] == []


def test_refusals_of_a_chat_model_are_recognised() -> None:
    """Of hand-labelled ChatGPT answers no claim is taken for a refusal, and refusals are found."""
    rows = read(HALUEVAL / "general.jsonl")
    labelled = [(row["chatgpt_response"], bool(row["abstains"])) for row in rows]
    assert sum(abstains for _, abstains in labelled) == 18
    precision, recall = rates(labelled)
    assert precision >= 0.95
    assert recall >= 0.95


@pytest.mark.parametrize("field", ["right_answer", "hallucinated_answer"])
def test_answers_of_people_and_invented_ones_are_claims(field: str) -> None:
    """Neither right nor hallucinated answers of HaluEval are abstentions."""
    answers = [row[field] for row in read(HALUEVAL / "qa.jsonl")]
    assert len(answers) == 40
    assert [answer for answer in answers if abstained(answer)] == []


def test_only_empty_published_predictions_abstain() -> None:
    """In SQuAD an empty prediction stands for an abstention, and every other one for a claim."""
    given = predictions(EXCERPT / "predictions-v2.0.excerpt.json").values()
    assert {answer for answer in given if abstained(answer)} == {""}


def test_whole_sets_hold_hardly_any_false_abstention() -> None:
    """Of all published spans at most one in 1,000 is taken for a refusal."""
    folder = os.environ.get("GIST_BENCH_DATA")
    if not folder:
        pytest.skip("GIST_BENCH_DATA is not set: SQuAD 2.0 predictions, HaluEval not judged")
    spans = [
        answer
        for path in sorted((Path(folder) / "squad/predictions").glob("v2.0_*.json"))
        for answer in predictions(path).values()
        if answer
    ]
    rows = read(Path(folder) / "halueval/qa_one-turn_data.json")
    spans += [row[field] for row in rows for field in ("right_answer", "hallucinated_answer")]
    assert len(spans) > 18_000
    assert sum(abstained(span) for span in spans) <= len(spans) / 1000
