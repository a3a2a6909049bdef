"""LooGLE (arXiv 2311.04939): questions, clozes and summaries of long documents.

One JSON object per line: `input` is the document, and `qa_pairs` lists its questions `Q` with their
answer `A` and the sentences `S` that prove it; as published, the list is the text of a Python list.
In a cloze, `A` names what stands behind each `<mask-n>`. Where `qa_pairs` is "none", `output` is
the document's summary. The layout of the hub and that of the sample files in the repository are
one.
"""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.data.formats.fields import check_encodable, field, in_target, name_of, text
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_objects
from benchmarks.scoring.wordings import bleu, has_wordnet, meteor, rouge
from harness.api import Metric, Question
from harness.errors import UserError, reading

QA, CLOZE, SUMMARY = "qa", "cloze", "summary"
_NONE = "none"
_TOKENS = {QA: 500, CLOZE: 50, SUMMARY: 500}
_FILL_IN = (
    "{question}\nWhat are the masked entities? Each <mask-n> could be a person, a location or an "
    "organisation; the same masks are the same entity. Answer in JSON, for example "
    '{{"<mask-0>": "Bob", "<mask-1>": "Bethel Horizon"}}.'
)


def read(path: Path) -> list[Entry]:
    """Return one entry per line; its id is its number."""
    entries: list[Entry] = []
    for where, row in read_objects(path):
        context = Paragraph(text(where, row, "input"), str(row.get("title", "")))
        questions = _questions(where, row)
        task = questions[0].slices["task"]
        notice = "" if task == CLOZE else _missing()
        entries.append(Entry(str(len(entries)), (context,), questions, _TOKENS[task], notice))
    return entries


def _missing() -> str:
    """Return what the official script computes of answers in words and is not yet there."""
    later = "LooGLE's BERTScore comes by gist-bench rescore --bert-score FOLDER of roberta-large"
    if has_wordnet():
        return later
    return f"{later}; its METEOR needs WordNet: python -m nltk.downloader wordnet"


def _questions(where: str, row: dict[str, Any]) -> tuple[Question, ...]:
    pairs = row.get("qa_pairs")
    if isinstance(pairs, str) and pairs.strip().lower() == _NONE:
        summary = text(where, row, "output")
        if summary.strip().lower() == _NONE:
            raise UserError(f"{where}: 'output' holds no summary, and 'qa_pairs' no question.")
        asked = "Please generate a summary of the paper."
        return (Question("q", asked, (summary,), {"task": SUMMARY}),)
    if isinstance(pairs, str):
        with reading(f"{where}: 'qa_pairs'", fault="is no list", advice="Give a file of LooGLE."):
            pairs = ast.literal_eval(pairs)
    if not isinstance(pairs, list) or not pairs:
        raise UserError(f"{where}: 'qa_pairs' is {name_of(pairs)}; give a list of questions.")
    found = []
    for number, pair in enumerate(pairs):
        here = f"{where}, qa_pairs {number + 1}"
        if not isinstance(pair, dict):
            raise UserError(f"{here}: is {name_of(pair)}, not an object.")
        found.append(_question(here, str(number), pair))
    return tuple(found)


def _question(where: str, name: str, pair: dict[str, Any]) -> Question:
    asked, answer = text(where, pair, "Q"), pair.get("A")
    slices = {"task": QA, "type": str(pair.get("type") or "")}
    if isinstance(answer, dict) and answer:
        target = json.dumps({str(mask): str(entity) for mask, entity in answer.items()})
        slices["task"], asked = CLOZE, _FILL_IN.format(question=asked)
    else:
        target = text(where, pair, "A")
    check_encodable(where, "A", target)
    given = pair.get("S") or []
    support = [given] if isinstance(given, str) else field(where, {"S": given}, "S", list)
    known = {column: value for column, value in slices.items() if value}
    return Question(name, asked, (target,), known, tuple(map(str, support)))


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return the automatic metrics of the question's task.

    Raises:
        UserError: an answer in words is scored with a package that is not installed.
    """
    (target,) = question.targets
    if question.slices["task"] == CLOZE:
        return _of_masks(in_target(target, {"<mask-0>": target}), answer)
    said = answer or "None"  # as the official script does
    by_wordnet = meteor(said, target)
    return {
        **{f"rouge_{kind}_recall": rouge(said, target, f"rouge-{kind}", "r") for kind in "l12"},
        **{f"bleu_{order}": bleu(said, target, order) for order in (1, 4)},
        **({} if by_wordnet is None else {"meteor": by_wordnet}),
    }


def _of_masks(right: Mapping[str, str], answer: str) -> dict[str, float]:
    """Return the share of masks that are named exactly, and of those with a word in common."""
    said = _named(answer)
    both = [(said.get(mask, ""), name) for mask, name in right.items()]
    equal = [given == name for given, name in both]
    overlap = [bool({*given.split()} & {*name.split()}) for given, name in both]
    return {
        "mask_match": sum(equal) / len(right),
        "mask_overlap": sum(overlap) / len(right),
    }


def _named(answer: str) -> dict[str, str]:
    """Return what an answer puts behind each mask: JSON, or a Python dictionary, as a whole."""
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(answer.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(found, dict):
            return {str(mask): str(name) for mask, name in found.items()}
    return {}


FORMAT = Format(
    title="LooGLE: questions, clozes and summaries of long documents",
    licence="CC BY-SA 4.0",
    source="https://github.com/bigai-nlco/LooGLE",
    read=read,
    metrics=(
        "rouge_l_recall",
        "rouge_1_recall",
        "rouge_2_recall",
        "bleu_1",
        "bleu_4",
        "meteor",
        "mask_match",
        "mask_overlap",
    ),
    score=score,
    slice_names=("task", "type"),
    max_new_tokens=500,
)

_OFFICIAL = "LooGLE, arXiv 2311.04939, official automatic_metrics script"
METRICS = (
    Metric(
        "rouge_l_recall",
        "Recall of ROUGE-L: the share of the reference's words in the longest common subsequence, "
        "by the package rouge. Long answers have more: to be read beside answer_words.",
        source=f"{_OFFICIAL} (get_rouge_score)",
    ),
    Metric(
        "rouge_1_recall",
        "Recall of ROUGE-1: the share of the reference's different words that the answer has.",
        source=f"{_OFFICIAL} (get_rouge_score)",
    ),
    Metric(
        "rouge_2_recall",
        "Recall of ROUGE-2: the share of the reference's different pairs of words that it has.",
        source=f"{_OFFICIAL} (get_rouge_score)",
    ),
    Metric(
        "bleu_1",
        "Fraction of the answer's words that are the reference's, times BLEU's penalty for an "
        "answer that is shorter than it.",
        source=f"{_OFFICIAL} (get_bleu_score); BLEU, aclanthology P02-1040",
    ),
    Metric(
        "bleu_4",
        "As bleu_1, over rows of four words alone: no mean over orders.",
        source=f"{_OFFICIAL} (get_bleu_score)",
    ),
    Metric(
        "meteor",
        "METEOR over the different words of both in their order, stems and WordNet's synonyms "
        "matched. Empty where NLTK does not find WordNet.",
        source=f"{_OFFICIAL} (get_meteor_score, which takes the words in no fixed order)",
    ),
    Metric(
        "mask_match",
        "Fraction of a cloze's masks that the answer names exactly; 0 if it is no JSON object. The "
        "official figure pools the masks of all questions, this is a mean over questions.",
        source=f"{_OFFICIAL} (get_exact_match)",
        judges=True,
    ),
    Metric(
        "mask_overlap",
        "Fraction of a cloze's masks for which the answer has a word in common with the name.",
        source=f"{_OFFICIAL} (get_partial_match)",
    ),
)
