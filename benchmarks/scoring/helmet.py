"""What HELMET's official scripts compare answers by (arXiv 2410.02694), beside ROUGE.

Words are compared as SQuAD's script does. There, nothing said counts as right where the letter of
the right option is A, for `a` is an article; here it does not.
"""

import math
import re
from collections.abc import Mapping, Sequence

from harness.text import normalize, normalize_pair

_CITATION_MARKS = (r" \[\d+", r"\[\d+", r" \|", r"\]")  # taken away one after the other
_MOST_ASKED = 5  # answers of a list that a model is asked for
_CUT = 10  # ranks that count


def after(prefix: str, answer: str) -> str:
    """Return the rest of the line behind `prefix`, or the first line where there is none."""
    found = re.search(f"{prefix}(.*)", answer, re.I) or re.match("(.*)", answer)
    line = found[1].strip() if found else ""
    return re.sub(f"^{prefix}", "", line, flags=re.I).strip()


def equals(answer: str, target: str) -> bool:
    """Say whether both are the same words."""
    given, wanted = normalize_pair(answer, target, official=True)
    return given == wanted


def chooses(answer: str, letter: str, option: str) -> bool:
    """Say whether an answer is a letter or the line of its option, or holds this line."""
    said = (answer, after("Answer:", answer))
    is_said = any(equals(each, target) for each in said for target in (letter, option))
    return is_said or option.lower() in answer.lower()


def ranking(answer: str) -> list[str]:
    """Return the numbers of the longest row of the form 3 > 1 > 2, each once."""
    bare = re.sub(r"[\[\]:]", "", answer).lower().replace("id", "")
    rows = [found[0] for found in re.finditer(r"\d+(?:\s*>\s*\d+)*", bare)]
    return list(dict.fromkeys(re.findall(r"\d+", max(rows, key=len, default=""))))


def ndcg(ranked: Sequence[str], relevance: Mapping[str, int]) -> float:
    """Return NDCG@10 with the relevance itself as gain; what is not ranked gains nothing."""
    best = _gain(sorted(relevance.values(), reverse=True))
    return _gain([relevance.get(name, 0) for name in ranked]) / best if best else 0.0


def _gain(relevances: Sequence[int]) -> float:
    return sum(each / math.log2(rank + 1) for rank, each in enumerate(relevances[:_CUT], start=1))


def groups_found(answer: str, groups: Sequence[Sequence[str]]) -> float:
    """Return the share of groups of short answers of which one is part of the answer."""
    said = _uncited(answer)
    return sum(any(_holds(said, each) for each in group) for group in groups) / len(groups)


def _holds(answer: str, target: str) -> bool:
    given, wanted = normalize_pair(answer, target, official=True)
    return wanted in given


def groups_listed(answer: str, groups: Sequence[Sequence[str]]) -> float:
    """Return the share of groups of which one stands between commas; five are enough."""
    said = _uncited(answer).rstrip().rstrip(".").rstrip(",").split(",")
    listed = {normalize(each, official=True) for each in said} - {""}
    found = sum(any(normalize(each, official=True) in listed for each in group) for group in groups)
    return min(_MOST_ASKED, found) / min(_MOST_ASKED, len(groups))


def _uncited(answer: str) -> str:
    """Return an answer in one line, without its citations."""
    line = re.sub(r"\n+", " ", answer)
    for mark in _CITATION_MARKS:
        line = re.sub(mark, "", line)
    return line
