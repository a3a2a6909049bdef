"""Contexts filled with other documents of their data set, and data sets of the hub."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data.dataset import Dataset
from benchmarks.qa import Qa
from harness.api import Sample, Tokenizer
from harness.errors import UserError
from harness.text import normalize
from tests.support.fake_tokenizers import MergingTokenizer, SplittingTokenizer, WordTokenizer

WORDS = "amber basil cedar dune ember fern grove heath iris jade kelp larch moss nettle oak".split()


@pytest.fixture
def nq(tmp_path: Path) -> str:
    """Return a data set of 60 questions, each with one document of its own."""
    rows: list[dict[str, Any]] = []
    for number in range(60):
        name = f"{WORDS[number % 15]} {number}"
        words = " ".join(WORDS[(number + k) % 15] for k in range(4 + number % 7))
        rows.append(
            {
                "question": f"Who is {name}?",
                "answers": [f"person {number // 2}"],  # that of the neighbour, too
                "ctxs": [{"title": name, "text": f"{words}. It is person {number // 2}. {words}."}],
            }
        )
    path = tmp_path / "nq.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return f"nq:{path}"


def filled(
    data: str, tokens: int, *, seed: int = 0, tokenizer: Tokenizer | None = None
) -> list[Sample]:
    """Return the samples of a data set, filled."""
    suite = Qa(data=data, filler_tokens=tokens)
    return list(suite.samples(tokenizer or WordTokenizer(), seed))


@pytest.mark.parametrize("tokens", [40, 200, 400])
@pytest.mark.parametrize("kind", [WordTokenizer, MergingTokenizer, SplittingTokenizer])
def test_context_is_as_long_as_asked_for(nq: str, tokens: int, kind: type[WordTokenizer]) -> None:
    """No context is longer, and none so short that the smallest document would still fit in."""
    tokenizer = kind()
    plain = [sample.context for sample in Qa(data=nq).samples(tokenizer, 0)]
    shortest = min(len(tokenizer.encode(context)) for context in plain)
    for sample in filled(nq, tokens, tokenizer=tokenizer):
        assert tokens - 2 * shortest < len(tokenizer.encode(sample.context)) <= tokens


def test_own_document_is_whole_and_no_other_holds_the_answer(nq: str) -> None:
    """The answer stands in one document, that of the question, though others know it too."""
    entries = Dataset.open(nq).entries
    every = {part.text for entry in entries for part in entry.paragraphs}
    for entry, sample in zip(entries, filled(nq, 300), strict=True):
        documents = sample.context.split("\n\n")
        assert set(documents) <= every
        assert len(set(documents)) == len(documents) > 10
        (answer,) = (normalize(target) for target in entry.questions[0].targets)
        holding = [text for text in documents if f" {answer} " in f" {normalize(text)} "]
        assert holding == [entry.paragraphs[0].text]


def test_place_of_the_document_is_drawn_by_the_seed(nq: str) -> None:
    """The seed decides; every depth occurs, and the slice says where the document is."""
    first, again, other = filled(nq, 300), filled(nq, 300), filled(nq, 300, seed=1)
    assert first == again
    assert {sample.context for sample in first}.isdisjoint(sample.context for sample in other)
    assert {sample.slices["depth"] for sample in first} == {"0", "0.25", "0.5", "0.75", "1"}
    for entry, sample in zip(Dataset.open(nq).entries, first, strict=True):
        documents = sample.context.split("\n\n")
        share = documents.index(entry.paragraphs[0].text) / (len(documents) - 1)
        assert abs(share - float(sample.slices["depth"])) <= 0.125
    assert Qa(data=nq, filler_tokens=300).slice_names == ("depth",)


def test_sample_does_not_depend_on_those_before_it(nq: str) -> None:
    """Two streams that are drawn in turns give what each gives alone."""
    suite = Qa(data=nq, filler_tokens=200)
    pairs = zip(suite.samples(WordTokenizer(), 0), suite.samples(WordTokenizer(), 1), strict=True)
    first, second = zip(*pairs, strict=True)
    assert list(first) == filled(nq, 200)
    assert list(second) == filled(nq, 200, seed=1)


def test_own_context_longer_than_asked_stays_as_it_is(nq: str) -> None:
    """The document of the question is never cut."""
    suite = Qa(data=nq)
    assert [s.context for s in filled(nq, 5)] == [
        s.context for s in suite.samples(WordTokenizer(), 0)
    ]


def test_data_set_that_is_too_small_is_refused(nq: str) -> None:
    """Contexts longer than all documents together cannot be made, and are not made shorter."""
    with pytest.raises(UserError, match=r"sample 0: the other documents make [\d,]+ tokens"):
        filled(nq, 50_000)


def test_pages_of_one_article_do_not_fill_each_other(tmp_path: Path) -> None:
    """Another paragraph of the same article could answer what its neighbour does not."""
    articles = [
        {
            "title": title,
            "paragraphs": [
                {
                    "context": f"{title} has {word} and {word}ish.",
                    "qas": [{"id": f"{title}{word}", "question": "?", "answers": []}],
                }
                for word in WORDS
            ],
        }
        for title in ("Alpha", "Beta")
    ]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": articles}), encoding="utf-8")
    for sample in filled(f"squad_v2:{path}", 40):
        own = sample.id.partition(".")[0]
        starts = [text.partition(" ")[0] for text in sample.context.split("\n\n")]
        assert starts.count(own) == 1
        assert len(starts) > 5


@pytest.mark.parametrize("options", [{}, {"data": "babi:tests/data/babi/qa1.txt"}])
def test_only_paragraphs_that_stand_alone_can_fill(options: dict[str, str]) -> None:
    """Stories and generated documents have no other documents to be filled with."""
    with pytest.raises(ValueError, match="filler_tokens needs a data set of paragraphs"):
        Qa(filler_tokens=100, **options)  # type: ignore[arg-type]  # the values are texts
