"""Search by vectors and by words: finds the needle, keeps contexts apart, counts its bytes."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.retrieval.chunking import Span, word_ends
from backends.retrieval.index import LexicalRetriever, Retriever, VectorRetriever
from backends.retrieval.retriever import cut_passages
from harness.errors import UserError
from tests.support.tiny_embedder import LetterEmbedder

CITIES = "北京 上海 广州 深圳 成都 杭州 武汉 西安".split()
KEEPERS = "王伟 李娜 张敏 刘洋 陈静 杨帆 赵磊 黄丽".split()
COLORS = ("red", "blue", "green", "black", "white", "brown", "pink", "gray", "gold", "pale")
THINGS = ("vase", "lamp", "cup", "bowl", "chair", "rug", "clock", "box", "pen", "bag")
NEEDLE = "The amber harp is in hall 7 and costs 3 coins."
QUESTION = "Which hall holds the amber harp?"


def haystack(needle_at: int) -> list[str]:
    """Return 300 lines of one kind and, among them, one about something else."""
    kinds = itertools.product(COLORS, THINGS, (11, 12, 13))
    lines = [
        f"The {color} {thing} is in hall {n} and costs {n} coins." for color, thing, n in kinds
    ]
    return [*lines[:needle_at], NEEDLE, *lines[needle_at:]]


def by_vectors() -> Retriever:
    """Return a retriever over letters, which needs no model."""
    return VectorRetriever(LetterEmbedder())


@pytest.fixture(params=[by_vectors, LexicalRetriever])
def retriever(request: pytest.FixtureRequest) -> Iterator[Retriever]:
    """Each kind of retriever in turn."""
    made: Retriever = request.param()
    yield made
    made.close()


@pytest.mark.parametrize("needle_at", [0, 150, 300])
def test_words_find_the_needle_among_300_lines(needle_at: int) -> None:
    """BM25 ranks the one passage that shares the question's rare words first."""
    index = LexicalRetriever().index(haystack(needle_at))
    assert index.search([QUESTION], 3)[0][0] == needle_at


def test_words_count_single_letters_and_digits() -> None:
    """A word of one character is a word."""
    index = LexicalRetriever().index(["room 4 is blue", "room 7 is blue", "room 9 is blue"])
    assert [found[0] for found in index.search(["what is in 7", "room 9?"], 1)] == [1, 2]


def test_a_batch_finds_what_each_question_finds_alone(retriever: Retriever) -> None:
    """Questions asked together do not change one another's passages."""
    index = retriever.index(haystack(40))
    questions = [QUESTION, "pink clock", "zzz", "", "the gold bag in hall 12"]
    together = index.search(questions, 5)
    assert together == [index.search([question], 5)[0] for question in questions]
    assert all(len(set(found)) == 5 for found in together)


def test_the_same_passages_give_the_same_order(retriever: Retriever) -> None:
    """Building an index again, with equal passages in it, changes nothing."""
    passages = haystack(9) + haystack(9)
    first, second = (retriever.index(passages).search([QUESTION, "cup"], 20) for _ in range(2))
    assert first == second


def test_two_indexes_do_not_mix(retriever: Retriever) -> None:
    """An index finds its own passages only, also after another one is closed."""
    one, two = retriever.index(["amber harp", "blue cup"]), retriever.index(["red rug"])
    assert two.search(["amber harp"], 5) == [[0]]
    two.close()
    assert one.search(["amber harp"], 5) == [[0, 1]]
    one.close()


def test_vectors_are_counted_as_32_bit_floats() -> None:
    """An index by vectors keeps passages x dimension x 4 bytes."""
    retriever = VectorRetriever(LetterEmbedder())
    assert retriever.index(haystack(0)).held_bytes == 301 * 36 * 4
    retriever.close()


def test_words_are_counted_in_the_sparse_matrix() -> None:
    """An index by words keeps a weight and a row per word of a passage, and the vocabulary."""
    index = LexicalRetriever().index(["amber harp", "amber cup amber"])
    entries, vocabulary = 4, ("amber", "harp", "cup")
    weights_and_rows = entries * (4 + 4)
    columns = (len(vocabulary) + 1) * 8
    assert index.held_bytes == weights_and_rows + columns + sum(map(len, vocabulary))


def test_more_passages_than_one_batch_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passages beyond ChromaDB's batch limit are stored under their own numbers."""
    retriever = VectorRetriever(LetterEmbedder())
    monkeypatch.setattr(type(retriever._database._client), "get_max_batch_size", lambda _: 7)
    passages = haystack(20)[:30]
    found = retriever.index(passages).search(passages, 1)
    same = [[n] for n in range(30)]
    assert found == same
    retriever.close()


def test_a_kept_index_is_not_embedded_again(tmp_path: Path) -> None:
    """The same passages in the same folder are read from it; other passages are embedded."""
    passages, read = haystack(5), []
    for texts in (passages, passages, passages[1:]):
        embedder = LetterEmbedder()
        retriever = VectorRetriever(embedder, tmp_path / "vectors")
        index = retriever.index(texts)
        assert index.search([NEEDLE], 1) == [[texts.index(NEEDLE)]]
        assert index.held_bytes == len(texts) * 36 * 4
        index.close()
        retriever.close()
        read.append(embedder.passages_read)
    assert read == [301, 0, 300]


def test_an_index_that_was_not_filled_is_filled_again(tmp_path: Path) -> None:
    """A collection with fewer vectors than passages, as a crash leaves it, is made anew."""
    retriever = VectorRetriever(LetterEmbedder(), tmp_path)
    index = retriever.index(["amber harp", "blue cup"])
    index._vectors._collection.delete(ids=["1"])
    assert retriever.index(["amber harp", "blue cup"]).search(["blue cup"], 1) == [[1]]
    retriever.close()


def test_another_embedder_does_not_read_kept_vectors(tmp_path: Path) -> None:
    """Vectors are kept under the embedder's fingerprint."""
    one, other = LetterEmbedder(), LetterEmbedder()
    other.fingerprint = "letters-2"
    for embedder in (one, other):
        retriever = VectorRetriever(embedder, tmp_path)
        retriever.index(["amber harp"])
        retriever.close()
    assert (one.passages_read, other.passages_read) == (1, 1)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file in place of the folder is one line that says what to give."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"persist_dir=.*file cannot be used: .* Give a folder"):
        VectorRetriever(LetterEmbedder(), tmp_path / "file")


def test_passages_without_words_can_be_searched(retriever: Retriever) -> None:
    """Punctuation alone is no error."""
    assert retriever.index(["!!!", "..."]).search(["what?", "!"], 1)


def test_words_are_searched_where_no_spaces_stand_between_them() -> None:
    """Chinese is cut into passages of the size asked for, and each is found by its words."""
    pairs = list(zip(CITIES, KEEPERS, strict=True))
    text = "".join(f"{city}的仓库由{keeper}管理。" for city, keeper in pairs)
    retriever = LexicalRetriever()
    _, passages = cut_passages(text, retriever, chunk_tokens=14)
    assert len(passages) == len(pairs)
    index = retriever.index(passages)
    found = index.search([f"谁管理{city}的仓库?" for city in CITIES], 1)
    assert [passages[first] for (first,) in found] == passages


def test_a_passage_may_end_between_letters_where_no_spaces_are_set() -> None:
    """A budget of tokens takes a part of a long Chinese sentence, not none of it."""
    assert word_ends("东京 is big", Span(0, 9)) == [1, 2, 5, 9]
