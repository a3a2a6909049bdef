"""What LongBench's official script compares answers by (arXiv 2308.14508), beside SQuAD's F1.

ROUGE-L is that of the package `rouge`, which the script uses, and Chinese words are those of
`jieba`: other packages stem, or read no Chinese, and give other figures.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from benchmarks.scoring.wordings import installed, rouge

_NOT_CODE = ("`", "#", "//")  # in lines that are a comment, or fence a block
# The marks that do not count in Chinese: those of ASCII, the same in full width, and quotes. The
# official list has the closing mark of titles, and neither the opening one nor a full-width stop.
_MARKS_ZH = re.compile(
    r"[!-/:-@\[-`{-~\uff01-\uff0d\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff64\u3001-\u3003"
    r"\u300b-\u3011\u3014-\u301f\u3030\u303e\u303f\u2013\u2014\u2018\u2019\u201b-\u201f\u2026"
    r"\u2027\ufe4f]"
)


def f1_zh(answer: str, target: str) -> float:
    """Return 2PR/(P+R) over the words that jieba finds, punctuation left out."""
    given, wanted = Counter(_plain_words(answer)), Counter(_plain_words(target))
    common = (given & wanted).total()
    return 2 * common / (given.total() + wanted.total()) if common else 0.0


def rouge_l(answer: str, target: str) -> float:
    """Return the F of ROUGE-L over words between spaces, at the level of the summary."""
    return rouge(answer, target, "rouge-l", "f")


def rouge_l_zh(answer: str, target: str) -> float:
    """Return the F of ROUGE-L over the words that jieba finds."""
    return rouge_l(" ".join(_words(answer)), " ".join(_words(target)))


def number_share(answer: str, target: str) -> float:
    """Return the share of the answer's numbers that are the target's."""
    said, right = re.findall(r"\d+", answer), "".join(re.findall(r"\d+", target))
    return said.count(right) / max(1, len(said))


def code_similarity(answer: str, target: str) -> float:
    """Return how alike the answer's first line of code and the target are, to two digits."""
    lines = answer.lstrip("\n").split("\n")
    line = next((each for each in lines if not any(mark in each for mark in _NOT_CODE)), "")
    return round(100 * SequenceMatcher(None, line, target).ratio()) / 100


def class_share(answer: str, target: str, classes: Sequence[str]) -> float:
    """Return 1 over the number of classes that the answer names if the right one is among them.

    A class whose name is part of the right one's is not counted.
    """
    named = [each for each in classes if each in answer]
    for each in named:  # as the official script does it: the one after a removed one is passed over
        if each in target and each != target:
            named.remove(each)
    return 1 / len(named) if target in named else 0.0


def _plain_words(text: str) -> Iterator[str]:
    bare = (_MARKS_ZH.sub("", "".join(word.split()).lower()) for word in _words(text))
    yield from filter(None, bare)


def _words(text: str) -> list[str]:
    jieba = installed("jieba")
    jieba.setLogLevel(logging.WARNING)  # it tells how long its dictionary took to load
    found: list[str] = jieba.lcut(text)
    return found
