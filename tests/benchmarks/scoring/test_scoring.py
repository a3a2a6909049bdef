"""The scorer against published answers and their official scores, and against cases by hand."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.data.formats import squad_v2
from benchmarks.scoring.answers import contains, exact_match, f1, official_scores
from harness.api import ABSTENTION, Question
from tests.support.squad import EXCERPT, answers, predictions

Score = Callable[[str, Sequence[str]], float]

# Whole sets: official scores of the leaderboard. Excerpts: the official scripts' own results.
OFFICIAL = {
    "v2.0": ("v2.0_BERT_single_model_Google_AI_Language_", 78.74, 81.78),
    "v1.1": ("1.1_BERT_ensemble_Google_AI_Language_", 86.21, 92.20),
}
OF_EXCERPT = {"v2.0": (57.14, 68.54), "v1.1": (60.71, 84.84)}


def percentages(squad: Path, given: Path) -> tuple[float, float]:
    """Return exact match and F1 in percent, as the official scripts round them."""
    targets, said = answers(squad), predictions(given)
    scores = [
        squad_v2.FORMAT.score(Question(name, "?", tuple(accepted)), said[name])
        for name, accepted in targets.items()
    ]
    return (
        round(100 * sum(score["exact_match"] for score in scores) / len(scores), 2),
        round(100 * sum(score["f1"] for score in scores) / len(scores), 2),
    )


@pytest.mark.parametrize("version", OFFICIAL)
def test_published_predictions_get_their_official_scores(version: str) -> None:
    """The whole development sets give the scores of the leaderboard to two decimals."""
    folder = os.environ.get("GIST_BENCH_DATA")
    if not folder:
        pytest.skip(f"GIST_BENCH_DATA is not set: SQuAD {version} development set not scored")
    name, *expected = OFFICIAL[version]
    squad = Path(folder) / "squad"
    scored = percentages(squad / f"dev-{version}.rebuilt.json", squad / f"predictions/{name}.json")
    assert scored == tuple(expected)


@pytest.mark.parametrize("version", OF_EXCERPT)
def test_excerpt_gets_the_scores_of_the_official_script(version: str) -> None:
    """Three paragraphs of each development set score as the official scripts score them."""
    scored = percentages(
        EXCERPT / f"dev-{version}.excerpt.json", EXCERPT / f"predictions-{version}.excerpt.json"
    )
    assert scored == OF_EXCERPT[version]


@pytest.mark.parametrize(
    ("question", "expected_exact", "expected_f1"),
    [
        ("5725be0f271a42140099d118", 1, 1),  # one of three different answers
        ("57283adcff5b5019007d9f95", 1, 1),  # "45°": a sign that is no ASCII punctuation stays
        ("5725be0f271a42140099d11b", 0, 8 / 9),  # 4 words of 4, and 1 too many; "the" is dropped
        ("5729e500af94a219006aa6b5", 0, 2 / 4),  # 1 word of 3
        ("57282dfb4b864d190016466a", 0, 2 * 12 / 27),  # 12 words of 12, and 3 too many
        ("5728e715ff5b5019007da917", 1, 1),
        ("57283adcff5b5019007d9f94", 0, 0),  # said nothing, though there is an answer
        ("5a0c677bf5590b0018dab3ef", 0, 0),  # said "dinosaurs", though there is no answer
        ("5a0c677bf5590b0018dab3ee", 1, 1),  # said nothing, and there is no answer
    ],
)
def test_published_answer_scores_as_by_hand(
    question: str, expected_exact: float, expected_f1: float
) -> None:
    """Single published answers score what counting their words gives."""
    accepted = answers(EXCERPT / "dev-v2.0.excerpt.json")[question]
    said = predictions(EXCERPT / "predictions-v2.0.excerpt.json")[question]
    assert exact_match(said, accepted) == expected_exact
    assert f1(said, accepted) == pytest.approx(expected_f1)


def test_best_target_counts() -> None:
    """The score is the best over the accepted answers, not the mean."""
    assert f1("red house", ("blue", "red house")) == 1
    assert exact_match("red house", ("blue", "red house")) == 1


def test_f1_counts_repeated_words() -> None:
    """A word that is said twice matches a target that has it once only once."""
    assert f1("cat cat", ("cat",)) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("東京。", "東京"),
        ("「東京」", "東京"),
        ("\u00bd", "1/2"),
        (
            "\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f",
            "\u0645\u062d\u0645\u062f",
        ),  # Arabic with its vowels
        ("\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u05e9\u05dc\u05d5\u05dd"),  # and Hebrew
        ("ﾄｳｷｮｳ", "トウキョウ"),  # half-width kana
        ("cafe\u0301", "caf\u00e9"),
        ("\u1112\u1161\u11ab", "\ud55c"),  # a Korean syllable in its three letters
        ("“Paris”", "Paris"),
        ("«Paris»", "Paris"),
        ("1903\u20131912", "1903-1912"),
        ("\u22125", "-5"),
        ("\uff11\uff12", "12"),
        ("٣", "3"),
        ("ﬁve", "five"),
        ("Straße", "STRASSE"),
        ("İstanbul", "istanbul"),
        ("co\u00adoperate", "cooperate"),  # a soft hyphen
        ("القاهرة؟", "القاهرة"),
        ("दिल्ली।", "दिल्ली"),
        ("北京 市", "北京市"),
    ],
)
def test_one_answer_in_two_forms_is_right(answer: str, target: str) -> None:
    """Punctuation, forms and digits of all of Unicode count as little as those of ASCII."""
    for one, other in ((answer, target), (target, answer)):
        assert [score(one, (other,)) for score in (exact_match, f1, contains)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("sentence", "target", "wrong"),
    [
        ("日本の首都は東京です。", "東京", "大阪"),
        ("ประเทศไทยมีเมืองหลวงคือกรุงเทพ", "กรุงเทพ", "เชียงใหม่"),
        ("한국의 수도는 서울입니다.", "서울", "부산"),
        ("Die Hauptstadt heißt „Bern“.", "Bern", "Ber"),
        ("Столица — Москва.", "Москва", "Моск"),
    ],
)
def test_contains_finds_the_words_of_every_script(sentence: str, target: str, wrong: str) -> None:
    """Where no spaces stand between words, a target is found among the letters."""
    assert contains(sentence, (target,)) == 1
    assert contains(sentence, (wrong,)) == 0
    assert 0 < f1(sentence, (target,)) < 1


def test_marks_of_a_letter_belong_to_it() -> None:
    """A Thai letter with another vowel is another letter."""
    assert exact_match("กา", ("กี",)) == 0
    assert f1("ก\u0e31", ("ก\u0e35",)) == 0


def test_squad_files_keep_the_scores_of_the_official_script() -> None:
    """In Latin letters its curly quotes count, as in the published scores; elsewhere not."""
    assert official_scores(Question("q", "?", ("Paris",)), "“Paris”")["exact_match"] == 0
    assert official_scores(Question("q", "?", ("東京",)), "「東京」。")["exact_match"] == 1


@pytest.mark.parametrize("score", [exact_match, f1, contains])
@pytest.mark.parametrize("answer", [ABSTENTION, f"{ABSTENTION.title()}.", "", " ", "the"])
def test_where_there_is_no_answer_only_an_abstention_is_right(score: Score, answer: str) -> None:
    """Without targets an abstention scores 1 and any claim 0, also one that sounds like it."""
    assert score(answer, ()) == 1
    assert score("in the text", ()) == 0
    assert score("London", ()) == 0


@pytest.mark.parametrize("score", [exact_match, f1, contains])
def test_sentinel_earns_nothing_where_there_is_an_answer(score: Score) -> None:
    """The words that the sentinel shares with a target are no credit."""
    assert score(ABSTENTION, ("the text of the law",)) == 0
    assert score("", ("London",)) == 0


def test_target_that_reads_like_a_refusal_can_be_given() -> None:
    """`unknown` is right where it is the accepted answer."""
    assert exact_match("Unknown.", ("unknown",)) == 1


@pytest.mark.parametrize("score", [exact_match, f1, contains])
@pytest.mark.parametrize("target", ["A", "An", "the", "?", "%"])
def test_target_that_is_an_article_or_a_sign_is_compared_as_it_is(
    score: Score, target: str
) -> None:
    """What normalisation would leave nothing of is right when it is given, and only then."""
    assert score(f" {target.lower()} ", (target,)) == 1
    for wrong in ("", "B", "not in the text", "Paris"):
        assert score(wrong, (target,)) == 0
    assert score("Paris", (target, "Paris")) == 1


def test_letter_of_a_choice_is_found_in_a_sentence() -> None:
    """An article counts as a word where it is the answer."""
    assert contains("The correct answer is (A).", ("A",)) == 1
    assert exact_match("(A)", ("A",)) == 1
    assert exact_match("The A", ("A",)) == 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("There are 5 people.", 1),
        ("There are 15 people.", 0),
        ("5", 1),
        ("people 5, I think", 1),
    ],
)
def test_contains_looks_for_whole_words(answer: str, expected: float) -> None:
    """An answer in a sentence counts, a part of a word or number does not."""
    assert contains(answer, ("5",)) == expected


def test_contains_wants_the_words_in_a_row() -> None:
    """All words of the target, but scattered, are not the target."""
    assert contains("The glass was for the painter.", ("glass painter",)) == 0
    assert contains("She is a glass painter by trade.", ("glass painter",)) == 1
