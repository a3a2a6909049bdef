"""Texts as they are compared and cut."""

import pytest

from harness.text import is_english, normalize, normalize_pair, script_of, split_sentences, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The-cat", "thecat"),  # punctuation first: the article is no word of its own any more
        ("the, cat", "cat"),
        ("A.", ""),
        ("U.S.A.", "usa"),
        ("an  Apple\tand\na pear", "apple and pear"),
        ("Theatre", "theatre"),
        ("1,234", "1234"),
    ],
)
def test_normalization_keeps_the_official_order(text: str, expected: str) -> None:
    """Lower case, punctuation, articles, white space: in this order."""
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("target", "answer", "pair"),
    [
        ("The Hague", "hague!", ("hague", "hague")),
        ("A", "The A.", ("the a", "a")),
        ("?", "A ?", ("a ?", "?")),
        (" ", "A b", ("a b", "")),
    ],
)
def test_no_step_empties_a_target(target: str, answer: str, pair: tuple[str, str]) -> None:
    """The step that would take the last character of a target is left out for both texts."""
    assert normalize_pair(answer, target) == pair


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, each on one line."""
    return [" ".join(text[span.start : span.end].split()) for span in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Mr. J. Brown paid 3.50 euros. He left.", ["Mr. J. Brown paid 3.50 euros.", "He left."]),
        ("He met\nAlice in Rome. She\nsaid no.", ["He met Alice in Rome.", "She said no."]),
        ('"Stop!" he said. "Why?"', ['"Stop!" he said.', '"Why?"']),
        ("A title\n\nIt rained", ["A title", "It rained"]),
        ("Needed:\n- a pump\n- a wheel", ["Needed:", "- a pump", "- a wheel"]),
        ("x = f(1)\n    y = [\n    2]", ["x = f(1)", "y = [", "2]"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, sentences: list[str]) -> None:
    """Abbreviations and wrapped lines do not end one; list items and lines of code do."""
    assert sentences_of(text) == sentences


def test_search_words_are_letters_and_pairs_where_no_spaces_are_set() -> None:
    """Words of other scripts are whole; one form and one case for each."""
    assert words("Die 3 STRASSEN von Köln") == ["die", "3", "strassen", "von", "köln"]
    assert words("東京は") == ["東", "京", "は", "東京", "京は"]
    assert words("NHK東京 \uff12\uff10") == ["nhk", "東", "京", "東京", "20"]
    assert words("") == words("!?") == []


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Ada lives in Paris.", "Latin"),
        ("Ада живёт в Paris.", "Cyrillic"),
        ("東京は日本の首都です", "Japanese"),
        ("北京是首都", "Han"),
        ("القاهرة", "Arabic"),
        ("123", ""),
    ],
)
def test_script_is_that_of_most_letters(text: str, script: str) -> None:
    """Kana make Han Japanese; digits and signs are of no script."""
    assert script_of(text) == script


def test_english_is_told_from_other_languages_in_its_letters() -> None:
    """By its commonest words, in a text of some length; a short one is not judged."""
    german = "Der Vertrag wurde im Mai geschlossen und gilt für alle Häuser der Stadt. " * 8
    assert is_english("The contract of May is for all houses in the town. " * 8)
    assert not is_english(german)
    assert is_english(german[:60])
    assert not is_english("東京は日本の首都です")
