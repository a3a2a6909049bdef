"""Exact match and F1 as SQuAD defines them (arXiv 1606.05250, 1806.03822).

Both take the best over the accepted answers. A question without accepted answers has none in
its context: only an abstention is right there. Where there is an answer, the sentinel scores 0
whatever words it shares with the targets; other answers are scored as SQuAD does.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.abstention import abstained, is_sentinel

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize(text: str) -> str:
    """Return `text` in the form that is compared.

    The order is the official one and matters: lower case, punctuation, articles, white space.
    `the-cat` becomes `thecat`, not `cat`.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, targets: Sequence[str]) -> float:
    """Return 1 if the normalised answer equals one of the targets, else 0."""
    return _best(answer, targets, lambda given, target: float(given == target))


def f1(answer: str, targets: Sequence[str]) -> float:
    """Return the best token F1 over the targets, between 0 and 1."""
    return _best(answer, targets, _token_f1)


def contains(answer: str, targets: Sequence[str]) -> float:
    """Return 1 if the answer holds all words of a target in a row, else 0.

    For answers in whole sentences; words count as wholes, 15 does not hold 5.
    """
    return _best(answer, targets, lambda given, target: float(f" {target} " in f" {given} "))


def _best(answer: str, targets: Sequence[str], compare: Callable[[str, str], float]) -> float:
    given = normalize(answer)
    accepted = [text for target in targets if (text := normalize(target))]
    if not accepted:
        return float(not given or abstained(answer))
    if is_sentinel(answer) and given not in accepted:
        return 0.0
    return max(compare(given, target) for target in accepted)


def _token_f1(given: str, target: str) -> float:
    """Return 2PR/(P+R) over the words of two normalised texts, repeated words counted."""
    given_words, target_words = given.split(), target.split()
    common = sum((Counter(given_words) & Counter(target_words)).values())
    return 2 * common / (len(given_words) + len(target_words))
