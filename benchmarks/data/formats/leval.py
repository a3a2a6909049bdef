"""L-Eval (arXiv 2307.11088): long documents with many instructions each.

One JSON object per line: `input` is the document, `instructions` and `outputs` go together, and
`evaluation` says how a task is scored. Tasks scored by options (`exam`) and by words (`f1`) are
read; those that ask a model or a person to judge, or for a summary, are refused by name.
"""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.data.formats import choices
from benchmarks.data.formats.fields import text, texts
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_objects
from benchmarks.scoring.answers import squad_scores
from harness.api import Question
from harness.errors import UserError


def read(path: Path) -> list[Entry]:
    """Return one entry per document."""
    entries: list[Entry] = []
    for where, row in read_objects(path):
        task = text(where, row, "evaluation")
        if task not in ("exam", "f1"):
            raise UserError(f"{where}: tasks evaluated by {task!r} are not read. Read: exam, f1.")
        instructions, outputs = texts(where, row, "instructions"), texts(where, row, "outputs")
        if not instructions or len(instructions) != len(outputs):
            raise UserError(
                f"{where}: {len(instructions)} instructions with {len(outputs)} outputs. Give a "
                "file of L-Eval as it was published."
            )
        asked = []
        for number, (asks, output) in enumerate(zip(instructions, outputs, strict=True)):
            chosen = choices.letters(output) if task == "exam" else ""
            targets = (chosen, output) if chosen else (output,)
            asked.append(Question(str(number), asks, targets, {"task": task}))
        paragraph = Paragraph(text(where, row, "input"), str(row.get("source", "")))
        entries.append(Entry(str(len(entries)), (paragraph,), tuple(asked)))
    return entries


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return the score of the question's task."""
    if question.slices["task"] == "exam" and len(question.targets) > 1:
        return choices.score(question, answer)
    return squad_scores(question, answer)


FORMAT = Format(
    title="L-Eval: multiple choice and short answers about long documents",
    licence="GPL-3.0",
    source="https://github.com/OpenLMLab/LEval",
    read=read,
    metrics=("choice_accuracy", "f1", "exact_match"),
    score=score,
    slice_names=("task",),
)
