"""Texts as they are compared and cut."""

import pytest

from harness.text import normalize, normalize_pair, split_sentences


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
