"""kvpress: the folder of an evaluation, with `predictions.csv` and `config.yaml`.

`predictions.csv` has a row per question: `question`, `answer` or `answers` (the references, a list
as text), `predicted_answer`, `task`, `max_new_tokens`. It leaves the contexts out and holds no
scores: they are made here, by the official metric of each task of RULER and LongBench, by the
option that is chosen where every reference is a letter, and by SQuAD's metrics for all others.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from harness.api import Question
from harness.errors import UserError
from harness.imports.imported import Imported, Names, hash_of, listed, read_text, spec
from harness.run.plugins import load_layout
from harness.run.records import Row, cells_up_to

PREDICTIONS = "predictions.csv"
CONFIG = "config.yaml"
NEEDED = ("question", "answer", "predicted_answer")
RULER = ("niah", "vt", "cwe", "fwe", "qa")  # the tasks' names up to the first underscore
NO_CONTEXTS = (
    "predictions.csv holds no contexts: its rows are taken as independent, and intervals are too "
    "narrow where several questions share one."
)

_OF_DATA = ("data_dir", "fraction", "needle_depth", "max_context_length", "max_new_tokens")
_NAMED = frozenset({"dataset", "model", "press_name", *_OF_DATA})
# What changes no answer. Every other option tells two evaluations apart, known here or not.
_WITHOUT_EFFECT = frozenset({"device", "output_dir", "log_level", "press_init_command"})
_DEFAULTS: Mapping[str, object] = {"fraction": 1.0, "seed": 42}
_FORMER = {"compress_questions": "query_aware"}

# As kvpress names it, and in files of `gist-bench export`; version 2 is multiple choice.
_LONGBENCH = re.compile(r"(?:kvpress-|data=)longbench(?:-e)?(?=[,:]|$)")
# kvpress's other data sets: their metrics are not here.
_FOREIGN = re.compile(
    r"kvpress-(loogle|zero_scrolls|infinitebench|needle_in_haystack|aime25|math500)(?=,|$)"
)


def read(path: Path, names: Names) -> Imported:
    """Return the predictions in `path`, a CSV or the folder that holds it.

    Names that are not given are read from the configuration beside the file.

    Raises:
        UserError: the file is not as kvpress writes it, or the model is named nowhere.
    """
    file = path / PREDICTIONS if path.is_dir() else path
    table = list(_table(file))
    if not table:
        raise UserError(f"{file} has no rows below its header.")
    configured = _configured(file.parent)
    names = names.over(configured)
    if not names.model:
        raise UserError(
            f"{file.parent} has no {CONFIG} that names the model. Give its name with --model."
        )
    names = names.over(Names("kvpress", _press(table, file.parent)))
    has_contexts = all(row.keys() & {"context", "sample_id"} for row in table)
    notices = {} if has_contexts else {NO_CONTEXTS: None}
    suite = configured.suite or f"kvpress-{file.parent.name.partition('__')[0]}"
    layout = load_layout(_layout(table, suite))
    if foreign := _FOREIGN.match(suite):
        notices[
            f"Scored by {', '.join(layout.metrics)}, which are not the official metrics of "
            f"{foreign[1]}."
        ] = None
    return Imported(
        "kvpress",
        file,
        names,
        ("task",),
        tuple(layout.metrics),
        [_row(number, row, names, layout, notices) for number, row in enumerate(table)],
        hash_of([row.get("task", ""), row["question"], row["answer"]] for row in table),
        tuple(notices),
    )


def _layout(table: Sequence[Mapping[str, str]], suite: str) -> str:
    """Return the name of the layout whose scorer is used."""
    if all(row.get("task", "").partition("_")[0] in RULER for row in table):
        return "ruler"
    if all(len(row["answer"]) == 1 and row["answer"].isupper() for row in table):
        return "quality"
    return "longbench" if _LONGBENCH.search(suite) else "squad"


def _table(file: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of the CSV as text, by column."""
    text = read_text(file)
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        with cells_up_to(len(text)):
            header = next(reader)
            if "answer" not in header:  # LongBench's rows
                header = ["answer" if name == "answers" else name for name in header]
            missing = [name for name in NEEDED if name not in header]
            if missing:
                shown = ", ".join(name[:40] for name in header[:8])
                raise UserError(
                    f"{file} line 1: no column {missing[0]!r}, and kvpress writes "
                    f"{', '.join(NEEDED)}. Given: {shown}."
                )
            for row in reader:
                if len(row) != len(header):
                    raise UserError(
                        f"{file} line {reader.line_num}: {len(row)} cells, and the header has "
                        f"{len(header)}. Was the file cut?"
                    )
                yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise UserError(f"{file} line {reader.line_num}: not CSV: {error}.") from error


def _configured(folder: Path) -> Names:
    """Return the names that the evaluation's own configuration gives, if it is there."""
    file = folder / CONFIG
    if not file.is_file():
        return Names()
    import yaml

    try:
        config = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise UserError(
            f"{file} is not YAML. Restore it, or remove it and give --model."
        ) from error
    if not isinstance(config, dict):
        raise UserError(f"{file} does not hold options. Restore it, or delete it and give --model.")
    given = {_FORMER.get(name, name): value for name, value in _flat(config)}
    options = {
        name: value
        for name, value in given.items()
        if value is not False and value != _DEFAULTS.get(name)
    }
    press, suite = config.get("press_name"), config.get("dataset")
    kept = {name: options[name] for name in options if name not in _NAMED | _WITHOUT_EFFECT}
    if press == "no_press":
        kept.pop("compression_ratio", None)
    return Names(
        spec(f"kvpress-{suite}", {name: options.get(name) for name in _OF_DATA}) if suite else "",
        spec(str(press), kept) if press else "",
        str(config.get("model") or ""),
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield options by name, those of an option that holds options as `outer.inner`."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _press(table: list[dict[str, str]], folder: Path) -> str:
    """Return a name for the backend by what its rows say."""
    ratios = {row.get("compression_ratio", "") for row in table}
    ratio = ratios.pop() if len(ratios) == 1 else None
    # The folder's name is all that is left where the configuration is missing.
    aware = "True" if "query_aware" in folder.name.split("__") else None
    return spec("kvpress", {"compression_ratio": ratio, "query_aware": aware})


def _row(
    number: int, row: Mapping[str, str], names: Names, layout: Any, notices: dict[str, None]
) -> Row:
    """Return a row of ours; why its metrics stay empty is added to `notices`."""
    task = row.get("task", "")
    question = Question(
        "q",
        row["question"],
        listed(row["answer"]),
        {"task": task},
        choices=listed(row.get("all_classes") or "[]"),
    )
    scores: Mapping[str, float] = {}
    try:
        scores = layout.score(question, row["predicted_answer"])
        reason = "the file does not have what its official metric needs (all_classes)."
    except UserError as unknown:
        reason = str(unknown)
    if not scores:
        notices[f"Metrics of the task {task!r} are empty: {reason}"] = None
    longest = row.get("max_new_tokens", "")
    return {
        "suite": names.suite,
        "backend": names.backend,
        "model": names.model,
        "sample_id": _sample(row, number),
        "question_id": str(number),
        "task": task or None,
        "max_new_tokens": int(float(longest)) if longest.replace(".", "").isdecimal() else None,
        **scores,
        "answer": row["predicted_answer"],
        "targets": question.targets,
    }


def _sample(row: Mapping[str, str], number: int) -> str:
    """Return what tells contexts apart: the sample's id in files of `gist-bench export`."""
    if "sample_id" in row:
        return row["sample_id"]
    return hash_of([row["context"]]) if "context" in row else str(number)
