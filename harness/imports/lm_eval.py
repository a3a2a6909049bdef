"""lm-evaluation-harness: the file that `--log_samples` writes, `samples_TASK_DATE.jsonl`.

One JSON object per question and filter, scored already: `metrics` names the scores, which stand in
fields of their own. The model is named by `results_DATE.json` in the same folder.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api import Question
from harness.errors import UserError
from harness.imports.imported import Imported, Names, hash_of, listed, read_text, spec
from harness.run.plugins import load_layout
from harness.run.records import FIXED, Cell, Row

_FILE = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl?")
_ADVICE = "Give a samples_TASK_DATE.jsonl of lm-eval --log_samples."
_NEEDED = ("doc_id", "doc", "target", "filtered_resps")
_OLD = frozenset(  # the fields that are no scores, in files that do not name their metrics
    "doc_id doc target arguments resps filtered_resps filter metrics doc_hash prompt_hash "
    "target_hash".split()
)
_NOT_THIS_LENGTH = -1.0  # RULER's tasks: the score of all context lengths but the row's own
NO_CONTEXTS = (
    "It is not known which samples share a context: they are taken as independent, and "
    "intervals are too narrow where some do."
)
SCORED_HERE = (
    "The file holds no score of its rows, as in tasks that lm-eval scores as a whole: answers are "
    "scored here, by SQuAD's F1 and exact match."
)


def read(path: Path, names: Names, *, only: str | None = None) -> Imported:
    """Return the logged samples of one task.

    Names that are not given are read from the files' names. Where a task has several filters,
    the scores of `only` count; where it has no scores of its rows, a layout's scorer is used.

    Raises:
        UserError: the file is not as lm-eval writes it, has several filters and none is chosen,
            or the model is named nowhere.
    """
    table = _chosen(path, _objects(path), only)
    names = names.over(_names_from(path))
    if not names.model:
        raise UserError(
            f"{path.parent} has no results file of lm-eval that names the model. "
            "Give its name with --model."
        )
    metrics, left_out = _metrics(table)
    rows = [_row(row, names, metrics) for row in table]
    scored_here = not (metrics or left_out)
    if scored_here:
        squad = load_layout("squad_v2")
        rows = [_scored(cells, row, squad) for cells, row in zip(rows, table, strict=True)]
        metrics = [name for name in squad.metrics if any(name in cells for cells in rows)]
    if not metrics:
        named = ", ".join(_named(table)) or "none"
        raise UserError(f"{path}: no score between 0 and 1. Metrics of the file: {named}.")
    notices = {
        NO_CONTEXTS: not all(map(_sample, table)),
        SCORED_HERE: scored_here,
        f"Not between 0 and 1, so left out: {', '.join(left_out)}.": bool(left_out),
    }
    return Imported(
        "lm-eval",
        path,
        names,
        (),
        tuple(metrics),
        rows,
        hash_of([row["doc_id"], row.get("doc_hash") or row["doc"]] for row in table),
        tuple(notice for notice, holds in notices.items() if holds),
    )


def _objects(path: Path) -> dict[int, dict[str, Any]]:
    """Return the object of every line, by its number."""
    found = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        where = f"{path} line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{where}: not JSON: {error.msg} at character {error.pos + 1}. {_ADVICE}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not JSON that can be read: {error}.") from error
        missing = [name for name in _NEEDED if not isinstance(row, dict) or name not in row]
        if missing:
            raise UserError(f"{where}: {missing[0]!r} is missing. {_ADVICE}")
        found[number] = row
    return found


def _chosen(
    path: Path, lines: Mapping[int, dict[str, Any]], only: str | None
) -> list[dict[str, Any]]:
    """Return the rows of one filter, each question once."""
    filter_of = {number: str(row.get("filter", "none")) for number, row in lines.items()}
    filters = list(dict.fromkeys(filter_of.values()))
    if only is not None and only not in filters:
        raise UserError(f"{path} has no filter {only!r}. Filters: {', '.join(filters)}.")
    if only is None and len(filters) > 1:
        raise UserError(
            f"{path} scores every answer by several filters: {', '.join(filters)}. "
            f"Choose one with --filter, for example --filter {filters[0]}."
        )
    chosen = {at: row for at, row in lines.items() if only in (None, filter_of[at])}
    first: dict[str, int] = {}
    for number, row in chosen.items():
        known = first.setdefault(str(row["doc_id"]), number)
        if known != number:
            raise UserError(
                f"{path} line {number}: doc_id {row['doc_id']} was in line {known} already. "
                "Are two files joined?"
            )
    return list(chosen.values())


def _names_from(path: Path) -> Names:
    """Return the names that the file's name and the results file beside it give."""
    parts = _FILE.fullmatch(path.name)
    suite = f"lm-eval-{parts['task'] if parts else path.stem}"
    results = path.with_name(f"results_{parts['date']}.json") if parts else None
    if results is None or not results.is_file():
        return Names(suite, "lm-eval")
    try:
        results_json = json.loads(read_text(results))
        model = results_json.get("model_name") or results_json["config"]["model_args"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{results} is not a results file of lm-eval. Restore it, or delete it and give "
            "--model."
        ) from error
    ours = results_json.get("gist_bench")
    if isinstance(ours, dict):  # of `gist-bench export`
        return Names(str(ours.get("suite") or suite), str(ours.get("backend", "")), str(model))
    return Names(suite, spec("lm-eval", {"model": results_json.get("model_source")}), str(model))


def _named(table: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    """Return the names of the file's scores, in its order."""
    named: dict[str, None] = {}
    for row in table:
        given = row.get("metrics")
        names = given if isinstance(given, list) else [name for name in row if name not in _OLD]
        named |= dict.fromkeys(map(str, names))
    return named


def _metrics(table: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the scores that are shares, in the order of the file, and those that are not."""
    shares, left_out = [], []
    for name in _named(table):
        values = [value for row in table if (value := _share(row.get(name))) is not None]
        if values and all(0 <= value <= 1 for value in values) and _is_column(name):
            shares.append(name)
        elif values:
            left_out.append(name)
    return shares, left_out


def _is_column(name: str) -> bool:
    """Say whether a score of another tool can name a column: not ours, and no formula."""
    return name not in FIXED and (name[:1].isalnum() or name[:1] == "_")


def _scored(cells: Row, row: Mapping[str, Any], layout: Any) -> Row:
    """Return a row with scores of its answer against its references, if it has both in words."""
    references, answer = _references(row), cells["answer"]
    if references is None or not isinstance(answer, str):
        return cells
    scores = layout.score(Question("q", "", references), answer)
    return {**cells, **scores, "targets": references}


def _references(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the accepted answers: those of the document, or the target; None: it has none.

    The target of SQuAD 2.0 is one answer of several, or a word for "none" that varies by task.
    """
    given = _document(row).get("answers")
    given = given.get("text") if isinstance(given, dict) else given
    if isinstance(given, list) and all(isinstance(text, str) for text in given):
        return tuple(dict.fromkeys(given))
    target = row["target"]
    return _targets(target) if isinstance(target, str | list) and target else None


def _share(value: object) -> float | None:
    """Return a score; None where there is none, as on the other lengths of RULER."""
    if not isinstance(value, int | float) or value == _NOT_THIS_LENGTH:
        return None
    return None if math.isnan(value) else float(value)


def _row(row: Mapping[str, Any], names: Names, metrics: Sequence[str]) -> Row:
    cells: dict[str, Cell] = {
        "suite": names.suite,
        "backend": names.backend,
        "model": names.model,
        "sample_id": _sample(row) or str(row["doc_id"]),
        "question_id": str(row["doc_id"]),
        "max_new_tokens": _longest(row.get("arguments")),
        "answer": _answer(row["filtered_resps"]),
        "targets": _targets(row["target"]),
    }
    return cells | {name: _share(row.get(name)) for name in metrics}


def _sample(row: Mapping[str, Any]) -> str:
    """Return what the questions of one context share, where the document says it."""
    name, context = (_document(row).get(field) for field in ("sample_id", "context"))
    if isinstance(name, str):  # of `gist-bench export`
        return name
    return hash_of([context]) if isinstance(context, str) and context else ""


def _document(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row["doc"] if isinstance(row["doc"], dict) else {}


def _answer(responses: object) -> str | None:
    """Return the answer in words; for choices, log-likelihoods are all there is."""
    first = responses[0] if isinstance(responses, list) and responses else responses
    return first if isinstance(first, str) else None


def _targets(target: object) -> tuple[str, ...]:
    if isinstance(target, list):
        return tuple(map(str, target))
    return listed(str(target))


def _longest(arguments: Any) -> int | None:
    """Return the longest answer that was asked for, if the request says it."""
    # Newer files number the parts of a request, {"gen_args_0": {"arg_0": prompt, ...}}.
    for request in arguments.values() if isinstance(arguments, dict) else arguments or ():
        for part in request.values() if isinstance(request, dict) else request:
            if isinstance(part, dict) and isinstance(part.get("max_gen_toks"), int):
                return int(part["max_gen_toks"])
    return None
