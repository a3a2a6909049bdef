"""Multiple choice: how options are shown, and which of them an answer chooses."""

import re
from collections.abc import Mapping, Sequence

from harness.api import Metric, Question
from harness.text import normalize

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST = re.compile(r"\W*([A-Z](?:(?:\s*(?:,|and|&)\s*|\s*)[A-Z])*)(?=[).:,\s]*$|[).:]\s|\s*[(:])")
_ALONE = re.compile(r"\W*([A-Za-z])\W*")
_NAMED = re.compile(r"\b(?:answer|option|choice)s?\W+(?:is|are)?\W*\(?([A-Z])\b(?![a-z'])", re.I)
_BRACKETED = re.compile(r"\(([A-Z])\)")


def asked(question: str, options: Sequence[str]) -> str:
    """Return a question with its options, each on a line behind its letter."""
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question.strip(), *lines, "Answer with the letter of the right option."])


def letters(answer: str) -> str:
    """Return the letters that an answer chooses, sorted; nothing if it names none."""
    if alone := _ALONE.fullmatch(answer):
        return alone[1].upper()
    if found := _FIRST.match(answer):
        return "".join(sorted(set(re.findall(r"[A-Z]", found[1]))))
    named = _NAMED.findall(answer) or _BRACKETED.findall(answer)
    return named[-1].upper() if named else ""


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return whether the answer chooses the right option, by its letter or by its words.

    The first target is the letter, or the letters; the others are the option's words.
    """
    right, *words = question.targets
    if chosen := letters(answer):
        return {"choice_accuracy": float(chosen == "".join(sorted(right)))}
    said = f" {normalize(answer)} "
    return {"choice_accuracy": float(any(f" {normalize(one)} " in said for one in words))}


METRICS = (
    Metric(
        "choice_accuracy",
        "1 if the answer chooses the right option: by its letter, or, where it names no letter, by "
        "the option's words. All letters have to be named where several are right.",
        source="QuALITY, arXiv 2112.08608; L-Eval, arXiv 2307.11088 (exam tasks)",
        judges=True,
    ),
)
