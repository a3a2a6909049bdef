"""HELMET (arXiv 2410.02694): its tasks, each with its official metric and length of answers.

`helmet_rows` reads them. Worked examples are left out: every backend is asked without.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.data.formats import nq, ruler
from benchmarks.data.formats.fields import in_target
from benchmarks.data.formats.format import Entry, Format
from benchmarks.data.formats.helmet_rows import asked_in
from benchmarks.data.formats.lines import read_rows
from benchmarks.scoring import helmet as scoring
from benchmarks.scoring.wordings import rouge_l_stemmed
from harness.api import Metric, Question
from harness.errors import UserError


@dataclass(frozen=True, slots=True)
class _Task:
    """How the answers to a task are scored."""

    metric: str
    compare: Callable[[Question, str], float]
    max_new_tokens: int  # that the official configurations give
    notice: str = ""  # what else its official score needs


def _by_rouge(question: Question, answer: str, prefix: str) -> float:
    said = {answer, scoring.after(prefix, answer)}
    return max(rouge_l_stemmed(each, target) for each in said for target in question.targets)


def _groups(question: Question) -> list[list[str]]:
    return [[*map(str, in_target(target, [target]))] for target in question.targets]


def _relevance(question: Question) -> dict[str, int]:
    relevance: dict[str, int] = in_target(question.targets[0], {question.targets[0]: 1})
    return relevance


_SPAN = partial(_Task, "subspan_match", lambda q, a: nq.score(q, a)["subspan_match"])
_SHARE = partial(_Task, "string_match_all", lambda q, a: ruler.score(q, a)["string_match_all"])
_ANSWER = partial(_Task, "rouge_l_stemmed", partial(_by_rouge, prefix="Answer:"))
_BY_GPT4 = (
    "HELMET has GPT-4 judge answers about NarrativeQA: rescore --judge has a model judge them, and "
    "ROUGE is beside it"
)
_BY_KEY_POINTS = (
    "HELMET has GPT-4 count the key points of summaries, which is not done here: ROUGE is in its "
    "place"
)
_UNCHECKED = (
    "HELMET's recall and precision of citations need a model of 11 billion parameters that says "
    "what follows from a passage, google/t5_xxl_true_nli_mixture, and are not computed"
)
_TASKS: Mapping[str, _Task] = MappingProxyType(
    {
        "rag": _SPAN(20),
        "json_kv": _SPAN(100),
        "qa": _SPAN(50),
        "niah": _SHARE(100),
        "vt": _SHARE(50),
        "cwe": _SHARE(100),
        "fwe": _SHARE(50),
        "icl": _Task(
            "exact_match",
            lambda q, a: float(scoring.equals(scoring.after("label:", a), q.targets[0])),
            20,
        ),
        "rerank": _Task(
            "ndcg_at_10",
            lambda q, a: scoring.ndcg(scoring.ranking(a), _relevance(q)),
            200,
        ),
        "asqa": _Task("str_em", lambda q, a: scoring.groups_found(a, _groups(q)), 300, _UNCHECKED),
        "qampari": _Task(
            "recall_top5", lambda q, a: scoring.groups_listed(a, _groups(q)), 300, _UNCHECKED
        ),
        "narrativeqa": _ANSWER(100, _BY_GPT4),
        "book_qa": _ANSWER(10),
        "book_choice": _Task(
            "exact_match", lambda q, a: float(scoring.chooses(a, q.targets[0], q.targets[-1])), 10
        ),
        "book_sum": _ANSWER(1200, _BY_KEY_POINTS),
        "multi_lexsum": _Task(
            "rouge_l_stemmed", partial(_by_rouge, prefix="Summary:"), 400, _BY_KEY_POINTS
        ),
    }
)


def read(path: Path) -> list[Entry]:
    """Return one entry per row; its id is the row's `id` or `index`, or its number.

    A question that stands in several rows, with its passages in another order, is asked of each.
    """
    entries: dict[str, Entry] = {}
    for where, row in read_rows(path):
        named = row.get("id", row.get("index", len(entries)))
        name = str(named) if str(named) not in entries else f"{named}.{len(entries)}"
        entries[name] = _entry(name, where, row)
    return list(entries.values())


def _entry(name: str, where: str, row: dict[str, Any]) -> Entry:
    asked = asked_in(where, row)
    if asked is None:
        raise UserError(f"{where}: is no row of HELMET's tasks {', '.join(_TASKS)}.")
    if not asked.targets:
        raise UserError(f"{where}: there is no answer. Give a file of HELMET.")
    question = Question("q", asked.question, asked.targets, {"task": asked.task})
    task = _TASKS[asked.task]
    return Entry(name, asked.context, (question,), task.max_new_tokens, task.notice)


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return the metric that HELMET reports for the question's task, or one that is computed there.

    Raises:
        UserError: ROUGE is asked for, and its package is not installed.
    """
    task = _TASKS[question.slices["task"]]
    return {task.metric: task.compare(question, answer)}


FORMAT = Format(
    title="HELMET: passages, keys and values, RULER's tasks, citing, ranking, books, examples",
    licence="MIT; texts as their publishers say",
    source="https://github.com/princeton-nlp/HELMET",
    read=read,
    metrics=(
        "subspan_match",
        "string_match_all",
        "exact_match",
        "ndcg_at_10",
        "str_em",
        "recall_top5",
        "rouge_l_stemmed",
    ),
    score=score,
    slice_names=("task",),
    max_new_tokens=100,
)

_OFFICIAL = "HELMET, arXiv 2410.02694, official scripts"
METRICS = (
    Metric(
        "ndcg_at_10",
        "NDCG of the first ten documents that an answer of the form 3 > 1 > 2 ranks, the relevance "
        "itself being the gain; what is not ranked gains nothing.",
        source=f"{_OFFICIAL} (parse_rankings; trec_eval's ndcg_cut_10)",
    ),
    Metric(
        "str_em",
        "Fraction of the parts of a question (ASQA) whose short answer is part of the answer, "
        "citations left out, normalised as for exact_match.",
        source=f"{_OFFICIAL}; ALCE, arXiv 2305.14627 (compute_str_em)",
    ),
    Metric(
        "recall_top5",
        "Fraction of the answers of a list (QAMPARI) that stand between the commas of the answer, "
        "citations left out; five are enough.",
        source=f"{_OFFICIAL}; ALCE, arXiv 2305.14627 (qampari_rec_top5)",
    ),
    Metric(
        "rouge_l_stemmed",
        "F of ROUGE-L over word stems, the best over references, of the whole answer or the line "
        "behind Answer: or Summary:, by the package rouge_score.",
        source=f"{_OFFICIAL} (rougeL_f1); ROUGE, aclanthology W04-1013",
    ),
)
