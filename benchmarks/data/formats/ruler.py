"""RULER (arXiv 2404.06654): needles, variables and frequent words in a long text.

One JSON object per line: `input` is the whole prompt, `outputs` are the references. The prompt is
cut before its question. What RULER writes in front of the answer ("The special magic number for x
is") is left out: here the question ends the prompt, as in every other suite.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data.formats.fields import text, texts
from benchmarks.data.formats.format import Entry, Format, Paragraph, distinct
from benchmarks.data.formats.lines import read_objects
from harness.api import Metric, Question
from harness.errors import UserError


@dataclass(frozen=True, slots=True)
class _Task:
    """How the prompts of a task begin, and where their question stands."""

    name: str
    opening: str
    question: re.Pattern[str]


_TASKS = (
    _Task(
        "niah", "special magic", re.compile(r"\n(What (?:is|are all) the special magic [^\n]*?\?)")
    ),
    _Task(
        "vt", "Memorize and track", re.compile(r"\nQuestion: (Find all variables [^\n]*? above\.)")
    ),
    _Task("cwe", "Below is a numbered list", re.compile(r"\nQuestion: (What are the [^\n]*?\?)")),
    _Task("fwe", "Read the following coded", re.compile(r"\nQuestion: (Do not provide [^\n]*?\?)")),
    _Task("qa", "Answer the question", re.compile(r"\nQuestion: ([^\n]*)")),
)
_REPEATED = "\n\nAnswer the question based on the given documents."  # before the question of qa
_ANSWER = re.compile(r"\s*\bAnswer:\s*\Z")


def read(path: Path) -> list[Entry]:
    """Return one entry per line; its id is the row's `index`, or its number."""
    return distinct(
        (where, _entry(str(row.get("index", number)), where, row))
        for number, (where, row) in enumerate(read_objects(path))
    )


def _entry(name: str, where: str, row: dict[str, Any]) -> Entry:
    prompt = text(where, row, "input")
    task = next((task for task in _TASKS if task.opening in prompt[:40]), None)
    # The last one: some prompts begin with a worked example.
    found = list(task.question.finditer(prompt)) if task else []
    if task is None or not found:
        raise UserError(
            f"{where}: 'input' is no prompt of RULER's tasks {', '.join(t.name for t in _TASKS)}."
        )
    context = prompt[: found[-1].start()]
    if task.name == "qa":
        context = context.rpartition(_REPEATED)[0] or context
    references = texts(where, row, "outputs")
    if not any(reference.strip() for reference in references):
        raise UserError(f"{where}: 'outputs' holds no reference.")
    asked = _ANSWER.sub("", found[-1][1])
    question = Question("q", asked, references, {"task": task.name})
    return Entry(name, (Paragraph(context),), (question,))


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return RULER's score of the question's task.

    string_match_all: the share of the references that are part of the answer.
    string_match_part (task qa): whether one of them is.
    """
    said = answer.lower()
    found = [float(reference.lower() in said) for reference in question.targets]
    if question.slices["task"].partition("_")[0] == "qa":  # qa_1 and qa_2 in other tools' files
        return {"string_match_part": max(found)}
    return {"string_match_all": sum(found) / len(found)}


FORMAT = Format(
    title="RULER: needles, variables and frequent words in a long text",
    licence="Apache-2.0",
    source="https://github.com/NVIDIA/RULER",
    read=read,
    metrics=("string_match_all", "string_match_part"),
    score=score,
    slice_names=("task",),
    max_new_tokens=128,
)

_RULER = "RULER, arXiv 2404.06654, official evaluate script"
METRICS = (
    Metric(
        "string_match_all",
        "Fraction of the references that occur in the answer, as text, whatever the case: the mean "
        "over references.",
        source=_RULER,
    ),
    Metric(
        "string_match_part",
        "1 if any reference occurs in the answer, as text, whatever the case: the maximum over "
        "references.",
        source=_RULER,
    ),
)
