"""LongBench (arXiv 2308.14508): questions about long texts, in the JSONL that it is published in.

One object per line: `input` is the question, `context` the text, `answers` the references and
`dataset` the task. The English tasks that are scored by words or by numbers are read; summaries,
classes, code and Chinese need metrics that are not here, and are refused by name.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks.data.formats.fields import answers, text
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_objects
from benchmarks.scoring.answers import f1
from harness.api import Metric, Question
from harness.errors import UserError

_WORDS = frozenset("narrativeqa qasper multifieldqa_en hotpotqa 2wikimqa musique triviaqa".split())
_NUMBERS = frozenset({"passage_count", "passage_retrieval_en"})
_ASKED = {  # where the published rows leave the question to the prompt
    "passage_count": "How many different paragraphs are there, repetitions counted once?",
}


def read(path: Path) -> list[Entry]:
    """Return one entry per line; LongBench-E's tasks end in `_e`."""
    entries: dict[str, Entry] = {}
    for where, row in read_objects(path):
        task = text(where, row, "dataset").removesuffix("_e")
        if task not in _WORDS | _NUMBERS:
            known = ", ".join(sorted(_WORDS | _NUMBERS))
            raise UserError(f"{where}: the task {task[:40]!r} is not read. Read: {known}.")
        name = str(row.get("_id") or len(entries))
        if name in entries:
            raise UserError(f"{where}: _id {name[:40]!r} was given already. Are two files joined?")
        targets = answers(where, row, "answers")
        if not targets:
            raise UserError(f"{where}: 'answers' is empty. Give a file of LongBench.")
        asked = _ASKED.get(task) or text(where, row, "input")
        if task == "passage_retrieval_en":
            asked = f"Which paragraph is this an abstract of? Answer as Paragraph 1.\n{asked}"
        question = Question("q", asked, targets, {"task": task})
        entries[name] = Entry(name, (Paragraph(text(where, row, "context")),), (question,))
    return list(entries.values())


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return the official metric of the question's task, the best over the references."""
    task = question.slices["task"]
    if task in _NUMBERS:
        said = re.findall(r"\d+", answer)
        right = ["".join(re.findall(r"\d+", target)) for target in question.targets]
        return {"number_share": max(said.count(one) for one in right) / max(1, len(said))}
    # As in the official script: of triviaqa, where models go on with more examples, a line.
    first = answer.lstrip("\n").split("\n")[0] if task == "triviaqa" else answer
    return {"f1": f1(first, question.targets)}


FORMAT = Format(
    title="LongBench: English tasks over long texts, scored by words or by numbers",
    licence="MIT; texts as their publishers say",
    source="https://github.com/THUDM/LongBench",
    read=read,
    metrics=("f1", "number_share"),
    score=score,
    slice_names=("task",),
    max_new_tokens=64,
)

METRICS = (
    Metric(
        "number_share",
        "Fraction of the numbers in the answer that are the right one; 0 if there is none.",
        source="LongBench, arXiv 2308.14508, official script (count_score, retrieval_score)",
        judges=True,
    ),
)
