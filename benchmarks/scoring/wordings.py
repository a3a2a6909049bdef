"""How much of a reference's wording is in an answer: ROUGE, BLEU and METEOR.

Each by the package that the official scripts of the data sets use: others stem or cut words in
another way, and give other figures. They come with the extra `published`.
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from harness.errors import UserError

_EXTRA = "pip install 'gist-bench[published]'"
_ORDERS = 4  # of n-grams that BLEU knows


def rouge(answer: str, target: str, kind: str, figure: str) -> float:
    """Return a figure of the package `rouge`: `f`, `p` or `r` of rouge-1, rouge-2 or rouge-l."""
    if not (answer.strip(" .\n\t") and target.strip(" .\n\t")):
        return 0.0
    package = installed("rouge").Rouge(metrics=[kind])
    with _recursion_of(len(answer) + len(target)):
        return float(package.get_scores(answer, target)[0][kind][figure])


def rouge_l_stemmed(answer: str, target: str) -> float:
    """Return the F of ROUGE-L over word stems, by the package `rouge_score`."""
    scorer = installed("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=True)
    return float(scorer.score(target, answer)["rougeL"].fmeasure)


def bleu(answer: str, target: str, order: int) -> float:
    """Return the precision of n-grams of one order, with BLEU's penalty for short answers."""
    weights = [float(each == order) for each in range(1, _ORDERS + 1)]
    package = installed("nltk.translate.bleu_score")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each order without a match, those of no weight too
        found = package.sentence_bleu([target.split()], answer.split(), weights=weights)
    return round(float(found), 12)  # for none it gives the least number above 0


def meteor(answer: str, target: str) -> float | None:
    """Return METEOR over the different words of both; None where WordNet's data are not found.

    The official script of LooGLE takes words as a set, in an order that changes from process to
    process; here they keep their order.
    """
    if not has_wordnet():
        return None
    given, wanted = (list(dict.fromkeys(text.split())) for text in (answer, target))
    synonyms = installed("nltk.corpus").wordnet
    package = installed("nltk.translate.meteor_score")
    return float(package.single_meteor_score(wanted, given, wordnet=synonyms))


def has_wordnet() -> bool:
    """Say whether NLTK finds WordNet, which no package of Python carries."""
    try:
        installed("nltk.corpus").wordnet.ensure_loaded()
    except (LookupError, OSError):
        return False
    return True


@contextmanager
def _recursion_of(depth: int) -> Iterator[None]:
    """Let the package walk back through a sentence of so many words by recursion, as it does.

    Without that it fails at 1,000 words, and the official script then scores 0: a Chinese summary
    is one sentence, since the package ends them at full stops of ASCII.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + depth)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def installed(name: str) -> Any:
    """Return a module of a package that is optional.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as missing:
        package = name.partition(".")[0]
        raise UserError(
            f"this task is scored with the package {package}, which is not installed: {_EXTRA}."
        ) from missing
