"""HELMET (arXiv 2410.02694): its tasks that are published as files, in their JSONL.

One object per line. Which task it is, its fields say:

- rag (`kilt/*.jsonl`): `question`, `answers` and the passages `ctxs`, each with `title` and `text`;
- json_kv: `context` is the JSON, `question` a key, `answer` its value;
- RULER's: `context`, `outputs` and what the prompt is made of (`query`, `type_needle_v`, `num_v`).

Worked examples (`demos`, `example`) are left out: every backend is asked without. The tasks that
HELMET loads from other data sets of the hub (NarrativeQA, InfiniteBench, Multi-LexSum, ICL) are not
in its files; passages to rank (`msmarco`) and citations (`alce`) are refused by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.data.formats import nq, ruler
from benchmarks.data.formats.fields import answers, field, objects, text, texts
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_objects
from harness.api import Question
from harness.errors import UserError

_TOKENS = {"rag": 20, "json_kv": 100, "niah": 100, "vt": 50, "cwe": 100, "fwe": 50, "qa": 50}
_MOST_WORDS = 3  # that fwe asks for; cwe asks for ten
_REFUSED = {"qrel": "msmarco", "query_id": "msmarco", "qid": "msmarco", "docs": "alce"}


def read(path: Path) -> list[Entry]:
    """Return one entry per line; its id is the row's `id` or `index`, or its number.

    A question that stands in several rows, with its passages in another order, is asked of each.
    """
    entries: dict[str, Entry] = {}
    for where, row in read_objects(path):
        named = row.get("id", row.get("index", len(entries)))
        name = str(named) if str(named) not in entries else f"{named}.{len(entries)}"
        entries[name] = _entry(name, where, row)
    return list(entries.values())


def _entry(name: str, where: str, row: dict[str, Any]) -> Entry:
    refused = next((task for sign, task in _REFUSED.items() if sign in row), "")
    if refused:
        raise UserError(f"{where}: rows of {refused} are not read. Read: {', '.join(_TOKENS)}.")
    read_task = _rag if "ctxs" in row else _json_kv if "num_kvs" in row else _ruler
    task, paragraphs, asked, targets = read_task(where, row)
    if not targets:
        raise UserError(f"{where}: there is no answer. Give a file of HELMET.")
    question = Question("q", asked, targets, {"task": task})
    return Entry(name, paragraphs, (question,), _TOKENS[task])


_Asked = tuple[str, tuple[Paragraph, ...], str, tuple[str, ...]]  # task, context, question, targets


def _rag(where: str, row: dict[str, Any]) -> _Asked:
    shown = tuple(
        nq.titled(field(here, passage, "title", str), text(here, passage, "text"))
        for here, passage in objects(where, row, "ctxs")
    )
    if not shown:
        raise UserError(f"{where}: 'ctxs' is empty. Give at least one passage.")
    return "rag", shown, text(where, row, "question"), answers(where, row, "answers")


def _json_kv(where: str, row: dict[str, Any]) -> _Asked:
    asked = (
        "Extract the value corresponding to the specified key in the JSON object.\nKey: "
        f"{text(where, row, 'question')}"
    )
    context = Paragraph(text(where, row, "context"))
    return "json_kv", (context,), asked, (text(where, row, "answer"),)


def _ruler(where: str, row: dict[str, Any]) -> _Asked:
    context = Paragraph(text(where, row, "context"))
    references = texts(where, row, "answer" if isinstance(row.get("answer"), list) else "outputs")
    targets = tuple(reference for reference in references if reference.strip())
    if "type_needle_v" in row:
        kind, query = text(where, row, "type_needle_v"), text(where, row, "query")
        verb = "are all" if len(targets) > 1 else "is"
        task = "niah"
        asked = f"What {verb} the special magic {kind} for {query} mentioned in the provided text?"
    elif "num_v" in row:
        query = text(where, row, "query")
        task = "vt"
        asked = f"Find all variables that are assigned the value {query} in the text above."
    elif "question" in row:
        task, asked = "qa", text(where, row, "question")
    elif len(targets) > _MOST_WORDS:
        task, asked = "cwe", "What are the 10 most common words in the above list?"
    else:
        task = "fwe"
        asked = (
            "Do not provide any explanation. Please ignore the dots '....'. What are the three "
            "most frequently appeared words in the above coded text?"
        )
    return task, (context,), asked, targets


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return the metric that HELMET reports for the question's task.

    subspan_match (rag, json_kv, qa): whether the answer holds a target, both normalised;
    string_match_all (RULER's others): the share of the targets that it holds, as they are.
    """
    if question.slices["task"] in ("rag", "json_kv", "qa"):
        return {"subspan_match": nq.score(question, answer)["subspan_match"]}
    return ruler.score(question, answer)


FORMAT = Format(
    title="HELMET: passages with a question, keys and values, and RULER's tasks",
    licence="MIT; texts as their publishers say",
    source="https://github.com/princeton-nlp/HELMET",
    read=read,
    metrics=("subspan_match", "string_match_all"),
    score=score,
    slice_names=("task",),
    max_new_tokens=100,
)
