"""BLEU, METEOR and NDCG are those of their definitions, on random texts and rankings."""

import math
import random
from collections import Counter
from types import SimpleNamespace

import pytest

from benchmarks.scoring.helmet import ndcg
from benchmarks.scoring.wordings import bleu, has_wordnet, meteor

WORDS = "ka lo mi nu pa ro si tu".split()
SEEDS = range(40)


def texts(seed: int) -> tuple[list[str], list[str]]:
    """Return two random texts of few different words."""
    draw = random.Random(seed)
    lengths = draw.randint(1, 12), draw.randint(1, 12)
    first, second = (draw.choices(WORDS, k=length) for length in lengths)
    return first, second


@pytest.mark.parametrize("order", [1, 4])
def test_bleu_is_the_clipped_precision_of_one_order(order: int) -> None:
    """Times exp(1 - r/c) where the answer is the shorter one; nothing in common is 0."""
    pytest.importorskip("nltk")
    for said, reference in map(texts, SEEDS):
        given, wanted = (
            Counter(zip(*(text[start:] for start in range(order)), strict=False))
            for text in (said, reference)
        )
        precision = (given & wanted).total() / max(1, given.total())
        penalty = min(1.0, math.exp(1 - len(reference) / len(said)))
        assert bleu(" ".join(said), "\n".join(reference), order) == pytest.approx(
            precision * penalty
        )


class Synonyms:
    """Stands in for WordNet, which no package carries: a car is an auto."""

    def ensure_loaded(self) -> None:
        """Be there."""

    def synsets(self, word: str) -> list[SimpleNamespace]:
        """Return the one synset that there is."""
        names = ("car", "auto", "motor_car") if word in ("car", "auto") else (word,)
        return [
            SimpleNamespace(lemmas=lambda: [SimpleNamespace(name=lambda n=n: n) for n in names])
        ]


def test_meteor_is_that_of_its_paper_over_different_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """F with recall nine times as heavy, less half the cube of chunks over matches."""
    corpus = pytest.importorskip("nltk.corpus")
    monkeypatch.setattr(corpus, "wordnet", Synonyms())
    assert meteor("an auto stopped", "the car stopped") == pytest.approx(2 / 3 * 15 / 16)
    assert meteor("he stopping", "she stops") == pytest.approx(0.5 * 0.5)  # by their stems
    for said, reference in map(texts, SEEDS):
        given, wanted = list(dict.fromkeys(said)), list(dict.fromkeys(reference))
        places = [wanted.index(word) if word in wanted else None for word in given]
        matches = [place for place in places if place is not None]
        expected = 0.0
        if matches:
            precision, recall = len(matches) / len(given), len(matches) / len(wanted)
            both = zip([None, *places], places, strict=False)
            chunks = sum(
                now is not None and (before is None or now != before + 1) for before, now in both
            )
            mean = 10 * precision * recall / (recall + 9 * precision)
            expected = mean * (1 - 0.5 * (chunks / len(matches)) ** 3)
        assert meteor(" ".join(said), " ".join(reference)) == pytest.approx(expected)


def test_meteor_is_left_out_without_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure is made up without synonyms."""
    corpus = pytest.importorskip("nltk.corpus")

    def missing() -> None:
        raise LookupError

    monkeypatch.setattr(corpus, "wordnet", SimpleNamespace(ensure_loaded=missing))
    assert not has_wordnet()
    assert meteor("a car", "a car") is None


def test_ndcg_is_that_of_scikit_learn() -> None:
    """Over the first ten ranks, with what is not ranked left out."""
    from sklearn.metrics import dcg_score

    for seed in SEEDS:
        draw = random.Random(seed)
        relevance = {str(name): draw.choice([1, 1, 2, 3]) for name in draw.sample(range(40), 12)}
        ranked = [str(name) for name in draw.sample(range(40), draw.randint(1, 40))]
        ranks = range(len(ranked) + 2, 0, -1)
        padded = [[relevance.get(name, 0) for name in ranked] + [0, 0]]
        ideal = [sorted(relevance.values(), reverse=True)]
        best = dcg_score(ideal, [range(12, 0, -1)], k=10)
        expected = dcg_score(padded, [list(ranks)], k=10) / best
        assert ndcg(ranked, relevance) == pytest.approx(expected)
