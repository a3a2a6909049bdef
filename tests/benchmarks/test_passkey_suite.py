"""The passkey suite: sizes, depths, what is stated and asked, and how answers are judged."""

import re
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.generate.filler import FillerWriter, interleave, read_sentences
from benchmarks.passkey import Cell, Passkey
from harness.api import Question, Sample
from harness.errors import UserError
from tests.support.fake_tokenizers import MergingTokenizer, SplittingTokenizer, WordTokenizer

TOKENIZERS = (WordTokenizer, MergingTokenizer, SplittingTokenizer)


def drawn(suite: Passkey, count: int = 40) -> list[Sample]:
    """Return the first samples of a suite."""
    return list(islice(suite.samples(WordTokenizer(), seed=0), count))


@pytest.mark.parametrize(
    "tokenizer", [kind() for kind in TOKENIZERS], ids=lambda t: type(t).__name__
)
def test_context_is_at_most_a_sentence_short_of_its_size(tokenizer: WordTokenizer) -> None:
    """Sizes hold for any tokenizer, also where a text is not the sum of its sentences."""
    suite = Passkey(tokens=(100, 257, 700), keys=2, values=2)
    for sample in suite.samples(tokenizer, seed=0):
        size = len(tokenizer.encode(sample.context))
        longest = max(len(tokenizer.encode(f" {s}")) for s in sample.context.split(". "))
        assert int(sample.slices["tokens"]) - longest - 1 <= size <= int(sample.slices["tokens"])


def test_grid_is_walked_as_often_as_asked() -> None:
    """Every cell of tokens x depths x styles occurs `repeats` times, each time anew."""
    suite = Passkey(tokens=(64, 128), depths=(0.0, 0.5), repeats=3)
    samples = drawn(suite, 100)
    cells = [
        (s.slices["style"], s.slices["tokens"], s.questions[0].slices["depth"]) for s in samples
    ]
    assert len(cells) == 24
    assert {cells.count(cell) for cell in cells} == {3}
    assert len({sample.context for sample in samples}) == 24


def test_without_repeats_the_stream_does_not_end() -> None:
    """Training draws as many contexts as it wants."""
    suite = Passkey(split="train", tokens=(64,), depths=(0.5,), repeats=None)
    assert len({sample.context for sample in drawn(suite, 300)}) == 300


@pytest.mark.parametrize("style", ["landmark", "ruler"])
def test_depth_is_where_the_number_stands(style: str) -> None:
    """At depth 0 the needle opens the context, at 1 it closes it, between it is in proportion."""
    suite = Passkey(tokens=(512,), styles=(style,), repeats=4)  # type: ignore[arg-type]
    for sample in suite.samples(WordTokenizer(), seed=0):
        (question,) = sample.questions
        depth = float(question.slices["depth"])
        start = sample.context.index(question.support[0]) / len(sample.context)
        assert start == pytest.approx(depth, abs=0.06)
        if depth == 0:
            assert sample.context.startswith(question.support[0])
        if depth == 1:
            assert question.targets[0] in sample.context[-60:]


def test_sample_of_any_size_and_depth_can_be_drawn() -> None:
    """Training asks for cells that are on no grid; the id and the seed decide the sample."""
    suite, writer = Passkey(split="train"), FillerWriter(WordTokenizer(), "train")
    first = suite.sample(writer, Cell("ruler", 333, 0.123), "any", 5)
    again = suite.sample(
        FillerWriter(WordTokenizer(), "train"), Cell("ruler", 333, 0.123), "any", 5
    )
    assert first == again
    assert first.questions[0].slices["depth"] == "0.123"


def test_grid_does_not_change_a_sample() -> None:
    """A sample is the same whatever other sizes and depths are tested beside it."""
    wide = {sample.id: sample for sample in drawn(Passkey())}
    for sample in drawn(Passkey(tokens=(512,), depths=(0.5,), repeats=1)):
        assert wide[sample.id] == sample


@pytest.mark.parametrize("digits", [3, 5, 9])
def test_every_number_has_the_asked_digits(digits: int) -> None:
    """No number is shorter: the chance of guessing is the same for all."""
    for sample in drawn(Passkey(digits=digits)):
        assert {len(number) for number in re.findall(r"\d+", sample.context)} == {digits}


def test_keys_values_and_distractors_are_all_there() -> None:
    """3 keys of 2 numbers and 4 that distract: 10 numbers, 7 keys, 3 questions of 2 answers."""
    suite = Passkey(styles=("ruler",), keys=3, values=2, distractors=4)
    for sample in drawn(suite):
        numbers = re.findall(r"\d+", sample.context)
        assert len(numbers) == len(set(numbers)) == 10
        assert len(set(re.findall(r"[a-z]+-[a-z]+", sample.context))) == 7
        assert len(sample.questions) == 3
        for question in sample.questions:
            assert_only_own_numbers(sample, question)


def assert_only_own_numbers(sample: Sample, question: Question) -> None:
    """Check that the target is the key's numbers, in the order of the text."""
    (key,) = re.findall(r"[a-z]+-[a-z]+", question.text)
    stated = [s for s in re.split(r"(?<=\.) ", sample.context) if re.search(rf"\b{key}\b", s)]
    assert question.targets == (", ".join(re.findall(r"\d+", " ".join(stated))),)
    assert question.support == tuple(stated)


def test_landmark_hides_one_number_and_nothing_else() -> None:
    """Options of style ruler leave style landmark alone."""
    for sample in drawn(Passkey(styles=("landmark",), keys=3, values=2)):
        (question,) = sample.questions
        assert set(re.findall(r"\d+", sample.context)) == set(question.targets)


@pytest.mark.parametrize(
    ("answer", "exact_match", "contains"),
    [
        ("12345", 1, 1),
        ("12345.", 1, 1),
        (" 12,345\n", 1, 1),
        ("The 12345", 1, 1),
        ("The pass key is 12345.", 0, 1),
        ("123456", 0, 0),
        ("1234", 0, 0),
        ("12345 or 54321", 0, 1),
        ("12 345", 0, 0),
        ("", 0, 0),
    ],
)
def test_number_counts_as_a_whole(answer: str, exact_match: float, contains: float) -> None:
    """A longer or shorter number is another one; a sentence around it costs the exact match."""
    question = Question("q0", "What is the pass key?", ("12345",))
    scores = Passkey().score(question, answer, "")
    assert scores == {"exact_match": exact_match, "contains": contains}


@pytest.mark.parametrize(
    ("answer", "exact_match", "contains"),
    [
        ("12345, 67890", 1, 1),
        ("67890 and 12345", 1, 1),
        ("12345,67890", 1, 1),
        ("12345", 0, 0.5),
        ("12345, 67890, 11111", 0, 1),
        ("12345, 12345", 0, 0.5),
    ],
)
def test_several_numbers_count_in_any_order(
    answer: str, exact_match: float, contains: float
) -> None:
    """All numbers and no other are exact; `contains` is the share of them that was given."""
    question = Question("q0", "What are the numbers?", ("12345, 67890",))
    scores = Passkey().score(question, answer, "")
    assert scores == {"exact_match": exact_match, "contains": contains}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": (1.5,)}, "between 0 and 1"),
        ({"depths": ()}, "at least one value"),
        ({"digits": 2}, "between 3 and 18"),
        ({"keys": 0}, "at least 1"),
        ({"distractors": -1}, "at least 0"),
        ({"keys": 50, "values": 3}, "at most 100"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    """Options that no context can have are named when the suite is made."""
    with pytest.raises(ValueError, match=message):
        Passkey(**options)  # type: ignore[arg-type]


def test_size_that_cannot_hold_the_needles_is_refused_with_one_that_can() -> None:
    """The message names a size; with it the sample can be made."""
    with pytest.raises(
        UserError, match=r"^tokens=8 is too few.*Give tokens=(\d+) or more\.$"
    ) as caught:
        drawn(Passkey(tokens=(8,), depths=(0.5,)))
    enough = int(re.findall(r"\d+", str(caught.value))[-1])
    assert drawn(Passkey(tokens=(enough,), depths=(0.5,), styles=("landmark",)))


def test_more_keys_than_there_are_is_refused() -> None:
    """99 keys are more than the test split holds: the drawing ends, with a message."""
    with pytest.raises(UserError, match="the split holds only"):
        drawn(Passkey(tokens=(4096,), styles=("ruler",), keys=99, distractors=0), 1)


def test_counting_is_remembered() -> None:
    """A context of 512 tokens is made of sentences that were counted before: drawing is fast."""
    tokenizer = WordTokenizer()
    suite, writer = Passkey(split="train"), FillerWriter(tokenizer, "train")
    for index in range(200):
        suite.sample(writer, Cell("ruler", 512, 0.5), f"warm-{index}", 0)
    before = tokenizer.calls
    for index in range(100):
        suite.sample(writer, Cell("ruler", 512, 0.5), f"draw-{index}", 0)
    assert tokenizer.calls - before < 100 * 12


def test_sentences_stand_at_their_share_of_the_filler() -> None:
    """Depth 0 comes before all filler, 1 after all of it, equal depths as they were given."""
    placed = [(1.0, "end."), (0.5, "first."), (0.0, "start."), (0.5, "second.")]
    expected = "start. a. b. first. second. c. d. end."
    assert interleave(["a.", "b.", "c.", "d."], placed) == expected


BOOK = (
    "Down the rabbit hole she went.  \u201cWhat now?\u201d she asked\nthe cat. It grinned!\n\n"
    "CHAPTER TWO\n\nThe pool of tears was deep. Nobody swam. "
)


def test_numbers_are_hidden_in_a_text_of_ones_own(tmp_path: Path) -> None:
    """Around the number stands the text in its order, sentences whole, from a drawn place."""
    file = tmp_path / "book.txt"
    file.write_text("".join(f"Sentence {n} of the book stands here. " for n in range(200)))
    suite = Passkey(tokens=(120,), text=file, styles=("landmark",), repeats=3)
    starts = set()
    for sample in suite.samples(WordTokenizer(), seed=0):
        (question,) = sample.questions
        assert question.support[0] in sample.context
        order = [
            int(n) for n in re.findall(r"Sentence (\d+) of the book stands here\.", sample.context)
        ]
        assert len(order) > 10
        assert order == [(order[0] + step) % 200 for step in range(len(order))]
        starts.add(order[0])
    assert len(starts) > 1


def test_a_text_is_cut_at_the_ends_of_sentences(tmp_path: Path) -> None:
    """Quotes stay with what they close, a heading stands by itself, line breaks are spaces."""
    file = tmp_path / "book.txt"
    file.write_text(BOOK, encoding="utf-8")
    assert read_sentences(file) == (
        "Down the rabbit hole she went.", "\u201cWhat now?\u201d", "she asked the cat.",
        "It grinned!", "CHAPTER TWO", "The pool of tears was deep.", "Nobody swam.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read"), (b"\xff\xfe\x00", "UTF-8"), (b" \n ", "empty")],
)
def test_a_file_without_text_is_refused_at_once(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    """Before a tokenizer is there."""
    file = tmp_path / "book.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=problem):
        Passkey(text=file)


def test_a_text_is_not_repeated_to_fill_a_context(tmp_path: Path) -> None:
    """A book that is too short is no haystack of that size."""
    file = tmp_path / "book.txt"
    file.write_text(BOOK, encoding="utf-8")
    with pytest.raises(UserError, match="more than the text has"):
        drawn(Passkey(tokens=(500,), text=file))


def test_the_first_samples_are_spread_over_the_grid() -> None:
    """A run with --limit 6 sees several sizes, depths and both styles; nothing is left out."""
    suite = Passkey()
    drawn = list(suite.samples(WordTokenizer(), 0))
    first = [sample.id.split("/") for sample in drawn[:6]]
    styles, tokens, depths = (set(column) for column in list(zip(*first, strict=True))[:3])
    assert styles == set(suite.styles)
    assert len(tokens) >= min(3, len(suite.tokens))
    assert len(depths) >= 3
    cells = len(suite.tokens) * len(suite.depths) * len(suite.styles)
    assert len({sample.id for sample in drawn}) == cells * suite.repeats
