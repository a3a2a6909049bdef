"""Chunks: verbatim, complete, in order, within the embedder's limit, whole sentences."""

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.retrieval.chunking import Span, chunk_context, merge_chunks, split_sentences


def count_words(texts: Sequence[str]) -> list[int]:
    """Count words and punctuation marks."""
    return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


def count_thirds(texts: Sequence[str]) -> list[int]:
    """Count like a tokenizer under which a whole may have more tokens than its parts."""
    return [(len(text) + 2) // 3 for text in texts]


sentences = st.text("abcDEF  \n.!?", min_size=1, max_size=40).map(lambda body: body + ". ")
texts = st.one_of(st.text(max_size=300), st.lists(sentences, max_size=20).map("".join))


@given(texts)
def test_sentences_cover_the_text_without_gap_or_overlap(text: str) -> None:
    """The sentences laid end to end are the text."""
    spans = split_sentences(text)
    assert "".join(text[span.start : span.end] for span in spans) == text
    assert all(span.start < span.end for span in spans)


@given(texts, st.integers(4, 30), st.integers(0, 3), st.sampled_from([count_words, count_thirds]))
def test_chunks_cover_the_context_in_order_within_the_limit(text, limit, overlap, count) -> None:
    """Every character is in a chunk, chunks move forward, and none exceeds the limit."""
    chunks = chunk_context(text, chunk_tokens=limit, overlap=overlap, count_tokens=count)
    covered = 0
    for before, chunk in zip([None, *chunks], chunks, strict=False):
        assert chunk.start <= covered < chunk.end  # no gap, and something new
        assert before is None or before.start < chunk.start
        covered = chunk.end
    assert covered == len(text)
    assert max(count([text[c.start : c.end].strip() for c in chunks]), default=0) <= limit


@given(st.lists(st.sampled_from(["One two.", "Red!", "Is it so?", "A b c d."]), min_size=1))
def test_chunk_edges_are_sentence_edges(parts: list[str]) -> None:
    """A chunk starts and ends with a whole sentence when every sentence fits into a chunk."""
    text = " ".join(parts)
    edges = {span.start for span in split_sentences(text)} | {len(text)}
    chunks = chunk_context(text, chunk_tokens=9, overlap=1, count_tokens=count_words)
    assert {edge for chunk in chunks for edge in (chunk.start, chunk.end)} <= edges


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Bell met J. K. Moss at 3.5 km. They left.", 2),
        ('"Is it?" he asked. She said: "No." Then rain.', 3),
        ("The hall was, approx. five, empty.", 1),
        ("a wrapped line\ngoes on here. Done.", 2),
        ("Title\n\nfirst words of it", 2),
        ("vase: 3 coins\nLamp: 4 coins\n- Cup: 5", 3),
        ("vase costs 3 coins.\nlamp costs 4 coins.", 2),
        ("日本語です。次の文。", 2),
        ("   \n\n Indented. Next.", 2),
        ("", 0),
        (" \n ", 1),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, count: int) -> None:
    """Abbreviations, initials, quotations and wrapped lines do not end a sentence."""
    assert len(split_sentences(text)) == count


def test_overlap_repeats_whole_sentences() -> None:
    """Each chunk but the first starts with the last sentence of the chunk before it."""
    text = "A one. B two. C three. D four. E five."
    chunks = chunk_context(text, chunk_tokens=9, overlap=1, count_tokens=count_words)
    shown = [text[chunk.start : chunk.end].strip() for chunk in chunks]
    assert shown == ["A one. B two. C three.", "C three. D four. E five."]


def test_overlap_gives_way_to_a_long_sentence() -> None:
    """A repeated sentence that leaves no room for a new one is left out."""
    text = "A one two three. B one two three four five."
    chunks = chunk_context(text, chunk_tokens=8, overlap=1, count_tokens=count_words)
    shown = [text[chunk.start : chunk.end].strip() for chunk in chunks]
    assert shown == ["A one two three.", "B one two three four five."]


def test_a_long_sentence_is_cut_between_words_and_lines() -> None:
    """A sentence longer than a chunk is cut at line ends if it has any, else between words."""
    lines = "\n".join(f"vase {n} costs {n} coins" for n in range(20))
    chunks = chunk_context(lines, chunk_tokens=12, overlap=0, count_tokens=count_words)
    assert all(lines[chunk.start : chunk.end].startswith("vase") for chunk in chunks)
    words = "word " * 50
    chunks = chunk_context(words, chunk_tokens=8, overlap=0, count_tokens=count_words)
    assert {words[chunk.start : chunk.end].strip().replace("word", "") for chunk in chunks} <= {
        " " * n for n in range(8)
    }


@given(st.lists(st.integers(0, 9), unique=True), st.booleans(), st.integers(0, 1))
def test_merged_chunks_show_no_text_twice(ranked: list[int], by_rank: bool, overlap: int) -> None:
    """Merged spans hold the text of the ranked chunks, once, and do not touch one another."""
    chunks = [Span(10 * n, 10 * n + 10 + 5 * overlap) for n in range(10)]
    spans = merge_chunks(chunks, ranked, by_rank=by_rank)
    shown = [place for span in spans for place in range(span.start, span.end)]
    wanted = {place for n in ranked for place in range(chunks[n].start, chunks[n].end)}
    assert sorted(shown) == sorted(wanted)
    assert all(a.end < b.start for a, b in pairwise(sorted(spans, key=lambda span: span.start)))


def test_spans_stand_in_document_order_or_by_their_best_chunk() -> None:
    """By rank, a span stands where the best of its chunks would."""
    chunks = [Span(n, n + 1) for n in range(9)]
    assert merge_chunks(chunks, [8, 2, 5, 3], by_rank=False) == [Span(2, 4), Span(5, 6), Span(8, 9)]
    assert merge_chunks(chunks, [8, 2, 5, 3], by_rank=True) == [Span(8, 9), Span(2, 4), Span(5, 6)]
