"""LongBench (arXiv 2308.14508): questions about long texts, in the JSONL that it is published in.

One object per line: `input` is the question, `context` the text, `answers` the references,
`all_classes` what a classification may answer, and `dataset` the task. All 21 tasks are read,
English and Chinese, each with its official metric and length of answers; LongBench-E's end in `_e`.
"""

# ruff: noqa: RUF001 - marks of Chinese are meant

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.data.formats.fields import answers, field, text, texts
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_objects
from benchmarks.scoring import longbench as scoring
from benchmarks.scoring.answers import f1
from harness.api import Metric, Question
from harness.errors import UserError

_CLASSES = "all_classes"
_UNANSWERABLE = "unanswerable"  # what the references of qasper say where the paper does not


@dataclass(frozen=True, slots=True)
class _Task:
    """How a task is asked and scored."""

    metric: str
    compare: Callable[[str, str], float] | None  # of an answer and a reference; None: by classes
    max_new_tokens: int  # that the official script gives
    asked: str = "{input}"  # published rows leave a part of the question to the prompt
    first_line: bool = False  # models go on with more examples: the first line is the answer


def _f1(answer: str, target: str) -> float:
    return f1(answer, (target,), official=True)


_QA = partial(_Task, "f1", _f1)
_SUMMARY = partial(_Task, "rouge_l", scoring.rouge_l)
_SUMMARY_ZH = partial(_Task, "rouge_l", scoring.rouge_l_zh)
_CLASS = partial(_Task, "class_share", None, 64, first_line=True)
_NUMBER = partial(_Task, "number_share", scoring.number_share, 32)
_CODE = partial(_Task, "code_similarity", scoring.code_similarity, 64)
_TASKS: Mapping[str, _Task] = MappingProxyType(
    {
        "narrativeqa": _QA(128),
        "qasper": _QA(128),
        "multifieldqa_en": _QA(64),
        "multifieldqa_zh": _Task("f1", scoring.f1_zh, 64),
        "hotpotqa": _QA(32),
        "2wikimqa": _QA(32),
        "musique": _QA(32),
        "dureader": _SUMMARY_ZH(128),
        "gov_report": _SUMMARY(512, "Summarise the report in one page."),
        "qmsum": _SUMMARY(512),
        "multi_news": _SUMMARY(512, "Summarise all of the news in one page."),
        "vcsum": _SUMMARY_ZH(512, "请总结这次会议的内容。"),
        "trec": _CLASS(),
        "triviaqa": _QA(32, first_line=True),
        "samsum": _SUMMARY(128, first_line=True),
        "lsht": _CLASS(),
        "passage_count": _NUMBER(
            "How many different paragraphs are there, repetitions counted once?"
        ),
        "passage_retrieval_en": _NUMBER(
            "Which paragraph is this an abstract of? Answer as Paragraph 1.\n{input}"
        ),
        "passage_retrieval_zh": _NUMBER("下面的摘要出自哪一段？请按“段落1”的格式回答。\n{input}"),
        "lcc": _CODE("What is the next line of this code?"),
        "repobench-p": _CODE("{input}\nWhat is the next line of this code?"),
    }
)


def read(path: Path) -> list[Entry]:
    """Return one entry per line."""
    entries: dict[str, Entry] = {}
    for where, row in read_objects(path):
        name = str(row.get("_id") or len(entries))
        if name in entries:
            raise UserError(f"{where}: _id {name[:40]!r} was given already. Are two files joined?")
        entries[name] = _entry(name, where, row)
    return list(entries.values())


def _entry(name: str, where: str, row: dict[str, Any]) -> Entry:
    named = text(where, row, "dataset")
    task = _task(named)
    if task is None:
        raise UserError(
            f"{where}: LongBench has no task {named[:40]!r}. Tasks: {', '.join(sorted(_TASKS))}."
        )
    # A line of code may be a bracket alone; an answer in words holds a letter.
    of_code = task.compare is scoring.code_similarity
    targets = (texts if of_code else answers)(where, row, "answers")
    if not targets:
        raise UserError(f"{where}: 'answers' is empty. Give a file of LongBench.")
    if {target.strip().lower() for target in targets} == {_UNANSWERABLE}:
        targets = ()
    asked = text(where, row, "input") if "{input}" in task.asked else ""
    question = Question(
        "q",
        task.asked.replace("{input}", asked),
        targets,
        {"task": _plain(named)},
        choices=() if task.compare else texts(where, row, _CLASSES),
    )
    if not (task.compare or question.choices):
        raise UserError(f"{where}: {_CLASSES!r} is empty. Give a file of LongBench.")
    context = Paragraph(
        field(where, row, "context", str) if of_code else text(where, row, "context")
    )
    return Entry(name, (context,), (question,), task.max_new_tokens)


def _task(name: str) -> _Task | None:
    return _TASKS.get(_plain(name))


def _plain(name: str) -> str:
    """Return a task's name in LongBench; kvpress writes those of LongBench-E with a hyphen."""
    return name.removesuffix("_e").removesuffix("-e")


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return the official metric of the question's task, the best over the references.

    Nothing where the answer has to be one of several classes and the question does not have them.

    Raises:
        UserError: the task is not LongBench's, or is scored with a package that is not installed.
    """
    named = question.slices["task"]
    task = _task(named)
    if task is None:
        raise UserError(f"the task {named[:40]!r} has no official metric in LongBench.")
    said = answer.lstrip("\n").split("\n")[0] if task.first_line else answer
    if task.compare is None:
        compare = scoring.class_share
        scores = [compare(said, each, question.choices) for each in question.targets]
        return {task.metric: max(scores, default=0.0)} if question.choices else {}
    if not question.targets:
        return {task.metric: f1(said, ())}
    return {task.metric: max(task.compare(said, each) for each in question.targets)}


FORMAT = Format(
    title="LongBench: questions, summaries, classes, numbers and code over long texts, en and zh",
    licence="MIT; texts as their publishers say",
    source="https://github.com/THUDM/LongBench",
    read=read,
    metrics=("f1", "rouge_l", "class_share", "number_share", "code_similarity"),
    score=score,
    slice_names=("task",),
    max_new_tokens=64,
)

_OFFICIAL = "LongBench, arXiv 2308.14508, official script"
METRICS = (
    Metric(
        "rouge_l",
        "F of ROUGE-L between a summary and its reference, the best over references: the longest "
        "common subsequence of words, by the package rouge; Chinese words by jieba.",
        source=f"{_OFFICIAL} (rouge_score, rouge_zh_score); ROUGE, aclanthology W04-1013",
    ),
    Metric(
        "class_share",
        "1 over the number of classes that the answer names if the right one is among them, else "
        "0; a class whose name is part of the right one's is not counted.",
        source=f"{_OFFICIAL} (classification_score)",
        judges=True,
    ),
    Metric(
        "number_share",
        "Fraction of the numbers in the answer that are the right one; 0 if there is none.",
        source=f"{_OFFICIAL} (count_score, retrieval_score)",
        judges=True,
    ),
    Metric(
        "code_similarity",
        "Similarity of the answer's first line that is no comment and the right line of code: "
        "twice the characters in matching blocks over all characters, to two digits.",
        source=f"{_OFFICIAL} (code_sim_score)",
    ),
)
