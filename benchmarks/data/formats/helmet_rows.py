"""The rows of HELMET's tasks: which task one is of, its context, its question and its answers.

Its fields say which task it is:

- rag (`kilt/*.jsonl`): `question`, `answers` and the passages `ctxs`, each with `title` and `text`;
- rerank (`msmarco/*.jsonl`): `query` and the passages `ctxs`, each with `id`, `label` and `text`;
- json_kv: `context` is the JSON, `question` a key, `answer` its value;
- RULER's: `context`, `outputs` and what the prompt is made of (`query`, `type_needle_v`, `num_v`);
- asqa and qampari (`alce/*.json`): `question`, `docs`, and `qa_pairs` or lists of `answers`.

What HELMET takes from other data sets of the hub is read from their rows as JSONL, or from those
that its own loader makes of them: narrativeqa (`document`, `question`, `answers`), InfiniteBench's
book_qa, book_choice and book_sum (`context`, `input`, `answer`, `options`), multi_lexsum
(`sources`, `summary/short`). In-context learning (icl) has no rows but those of the loader:
`context` with its examples, `question`, `answer`.

Worked examples (`demo`, `demos`, `example`) are left out.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.data.formats import choices, nq
from benchmarks.data.formats.fields import answers, field, objects, text, texts
from benchmarks.data.formats.format import Paragraph
from harness.errors import UserError

_MOST_WORDS = 3  # that fwe asks for; cwe asks for ten
_MOST_DOCS = 700  # of ALCE's 2,000 that HELMET shows, at its longest
_LABEL = "\nlabel: "  # behind each example of in-context learning
_IN_SENTENCES = (
    "Answer in sentences, from the documents. Behind each sentence cite the documents that support "
    "it, one to three, by their numbers in brackets, as in [3] or [1][4]."
)
_IN_A_LIST = (
    "List the answers that the documents give, at least five if there are as many, with commas "
    "between them. Behind each cite one document by its number, as in [3]."
)


class Asked(NamedTuple):
    """What a row asks."""

    task: str
    context: tuple[Paragraph, ...]
    question: str
    targets: tuple[str, ...]


def asked_in(where: str, row: dict[str, Any]) -> Asked | None:
    """Return what a row asks; None if it is of no task."""
    return next((read(where, row) for marks, read in _READERS if marks <= row.keys()), None)


def _passages(where: str, row: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    if found := objects(where, row, name):
        return found
    raise UserError(f"{where}: {name!r} is empty. Give at least one passage.")


def _rag(where: str, row: dict[str, Any]) -> Asked:
    shown = tuple(
        nq.titled(field(here, passage, "title", str), text(here, passage, "text"))
        for here, passage in _passages(where, row, "ctxs")
    )
    return Asked("rag", shown, text(where, row, "question"), answers(where, row, "answers"))


def _rerank(where: str, row: dict[str, Any]) -> Asked:
    shown, relevance = [], {}
    for here, passage in _passages(where, row, "ctxs"):
        name, titled = text(here, passage, "id"), str(passage.get("title") or "")
        title = f" (Title: {titled})" if titled else ""
        shown.append(Paragraph(f"[ID: {name}] Document{title}: {text(here, passage, 'text')}"))
        if label := field(here, passage, "label", int):
            relevance[name] = label
    asked = (
        f"Query: {text(where, row, 'query')}\nRank all documents by how relevant they are to the "
        "query, the most relevant first. Answer with their IDs, in the form 3 > 1 > 2."
    )
    return Asked("rerank", tuple(shown), asked, (json.dumps(relevance),) if relevance else ())


def _json_kv(where: str, row: dict[str, Any]) -> Asked:
    asked = (
        "Extract the value corresponding to the specified key in the JSON object.\nKey: "
        f"{text(where, row, 'question')}"
    )
    context = Paragraph(text(where, row, "context"))
    return Asked("json_kv", (context,), asked, (text(where, row, "answer"),))


def _ruler(where: str, row: dict[str, Any]) -> Asked:
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
    return Asked(task, (context,), asked, targets)


def _alce(where: str, row: dict[str, Any]) -> Asked:
    shown = tuple(
        Paragraph(
            f"Document [{number}](Title: {field(here, passage, 'title', str)}): "
            f"{text(here, passage, 'text')}"
        )
        for number, (here, passage) in enumerate(
            _passages(where, row, "docs")[:_MOST_DOCS], start=1
        )
    )
    question = text(where, row, "question")
    if row.get("qa_pairs"):
        pairs = objects(where, row, "qa_pairs")
        groups = [texts(here, pair, "short_answers") for here, pair in pairs]
        task, how = "asqa", _IN_SENTENCES
    else:
        lists = field(where, row, "answers", list)
        groups = [texts(where, {"answers": group}, "answers") for group in lists]
        task, how = "qampari", _IN_A_LIST
    targets = tuple(json.dumps(group, ensure_ascii=False) for group in groups)
    return Asked(task, shown, f"{question}\n{how}", targets)


def _lexsum(where: str, row: dict[str, Any]) -> Asked:
    sources = [row["context"]] if "context" in row else texts(where, row, "sources")
    context = Paragraph(text(where, {"sources": "\n\n".join(sources)}, "sources"))
    asked = (
        "Summarise this civil rights case in one paragraph of 200 to 250 words: what it is about, "
        "who is involved, and how it ended."
    )
    return Asked("multi_lexsum", (context,), asked, (text(where, row, "summary/short"),))


def _narrativeqa(where: str, row: dict[str, Any]) -> Asked:
    if "document" not in row:  # as the loader writes it
        context, asked = text(where, row, "context"), text(where, row, "question")
        given = texts(where, row, "answer")
    else:
        context = text(where, field(where, row, "document", dict), "text")
        asked = text(where, field(where, row, "question", dict), "text")
        given = tuple(text(here, each, "text") for here, each in objects(where, row, "answers"))
    return Asked("narrativeqa", (Paragraph(context),), asked, given)


def _book(where: str, row: dict[str, Any]) -> Asked:
    context = (Paragraph(text(where, row, "context")),)
    asked, given = field(where, row, "input", str), texts(where, row, "answer")
    options: tuple[str, ...] = ()
    if isinstance(row["options"], str):  # as the loader writes it, each behind its letter
        options = tuple(each[3:] for each in row["options"].split("\n"))
        given = tuple(each[3:] for each in given[1:])
    elif row["options"]:
        options = texts(where, row, "options")
    if options:
        if not given or given[0] not in options:
            raise UserError(f"{where}: 'answer' is none of the 'options'.")
        letter = choices.LETTERS[options.index(given[0])]
        right = (letter, f"{letter}. {given[0]}")
        return Asked("book_choice", context, choices.asked(asked, options), right)
    if not asked.strip():
        summary = (
            "Summarise the plot and the characters of this book in 1,000 to 1,200 words, without "
            "comment."
        )
        return Asked("book_sum", context, summary, given)
    return Asked("book_qa", context, asked, given)


def _icl(where: str, row: dict[str, Any]) -> Asked:
    context = text(where, row, "context")
    if _LABEL not in context:
        raise UserError(f"{where}: 'context' has no examples with a label. Give a file of HELMET.")
    asked = (
        f"{text(where, row, 'question')}\nWhich label does this text have, by the examples? Answer "
        "in the form label: 7 and nothing else."
    )
    return Asked("icl", (Paragraph(context),), asked, (text(where, row, "answer"),))


# The fields that mark a task's rows; the first of those that a row has decides.
_READERS: tuple[tuple[frozenset[str], Callable[[str, dict[str, Any]], Asked]], ...] = (
    (frozenset({"ctxs", "query"}), _rerank),
    (frozenset({"ctxs"}), _rag),
    (frozenset({"docs"}), _alce),
    (frozenset({"num_kvs"}), _json_kv),
    (frozenset({"outputs"}), _ruler),
    (frozenset({"summary/short"}), _lexsum),
    (frozenset({"document"}), _narrativeqa),
    (frozenset({"input", "options"}), _book),
    (frozenset({"context", "question", "answer", "demo"}), _narrativeqa),
    (frozenset({"context", "question", "answer"}), _icl),
)
