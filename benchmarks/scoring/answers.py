"""Exact match and F1 as SQuAD defines them (arXiv 1606.05250, 1806.03822), and `contains`.

All take the best over the accepted answers. A question without accepted answers has none in
its context: only an abstention is right there. Where there is an answer, the sentinel scores 0
whatever words it shares with the targets; other answers are scored as SQuAD does.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from benchmarks.scoring.abstention import abstained, is_sentinel
from harness.api import Metric, Question
from harness.text import normalize, normalize_pair


def squad_scores(question: Question, answer: str) -> Mapping[str, float]:
    """Return `f1` and `exact_match` of an answer."""
    return {"f1": f1(answer, question.targets), **exact_score(question, answer)}


def official_scores(question: Question, answer: str) -> Mapping[str, float]:
    """Return `f1` and `exact_match` as SQuAD's own script gives them, to the last digit."""
    return {
        "f1": f1(answer, question.targets, official=True),
        "exact_match": _best(answer, question.targets, _equal, official=True),
    }


def exact_score(question: Question, answer: str) -> Mapping[str, float]:
    """Return `exact_match` alone."""
    return {"exact_match": exact_match(answer, question.targets)}


def exact_match(answer: str, targets: Sequence[str]) -> float:
    """Return 1 if the normalised answer equals one of the targets, else 0."""
    return _best(answer, targets, _equal)


def f1(answer: str, targets: Sequence[str], *, official: bool = False) -> float:
    """Return the best token F1 over the targets, between 0 and 1; see `official_scores`."""
    return _best(answer, targets, _token_f1, official=official)


def contains(answer: str, targets: Sequence[str]) -> float:
    """Return 1 if the answer holds all words of a target in a row, else 0.

    For answers in whole sentences; words count as wholes, 15 does not hold 5.
    """
    return _best(answer, targets, lambda given, target: float(f" {target} " in f" {given} "))


def _best(
    answer: str,
    targets: Sequence[str],
    compare: Callable[[str, str], float],
    *,
    official: bool = False,
) -> float:
    wanted = [target for target in targets if target.strip()]
    pairs = [normalize_pair(answer, target, official=official) for target in wanted]
    if not pairs:
        return float(not normalize(answer) or abstained(answer))
    if is_sentinel(answer) and all(given != target for given, target in pairs):
        return 0.0
    return max(compare(given, target) for given, target in pairs)


def _equal(given: str, target: str) -> float:
    return float(given == target)


def _token_f1(given: str, target: str) -> float:
    """Return 2PR/(P+R) over the words of two normalised texts, repeated words counted."""
    given_words, target_words = given.split(), target.split()
    common = sum((Counter(given_words) & Counter(target_words)).values())
    return 2 * common / (len(given_words) + len(target_words))


_SQUAD = "SQuAD, arXiv 1606.05250 and 1806.03822, official evaluate scripts"
METRICS = (
    Metric(
        "exact_match",
        "1 if the answer is one of the targets: lower case, no punctuation, no articles, single "
        "spaces, in this order; forms of one Unicode character are equal. Without targets, 1 for "
        "an abstention. In passkey: nothing but the numbers, in any order.",
        source=_SQUAD,
        judges=True,
        compares_whole=True,
    ),
    Metric(
        "f1",
        "Best over the targets of 2PR/(P+R) on their words, normalised as for exact_match; on "
        "their letters in scripts without spaces and in Korean. Without targets, 1 for an "
        "abstention; the sentinel scores 0 where there is a target. In HotpotQA a yes or no is "
        "right or wrong as a whole.",
        source=f"{_SQUAD}; HotpotQA, arXiv 1809.09600",
        compares_whole=True,
    ),
    Metric(
        "contains",
        "1 if the answer holds all words of a target in a row, whole words only, normalised as for "
        "exact_match; without targets, 1 for an abstention. Long answers hold more: to be read "
        "beside answer_words. In hallucination answerable questions only; in passkey the fraction "
        "of the numbers that it holds.",
        source="RULER, arXiv 2404.06654, official evaluate script (string_match_all there matches "
        "parts of words too)",
        judges=True,
    ),
)
