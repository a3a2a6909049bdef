"""The rows of any number of runs as one data frame, ready to be grouped.

Text columns stay text ("None" and "NA" are names like any other); number columns become floats,
with NaN for an empty cell. Added columns keep runs apart: runs with different settings are never
averaged, and a sample is the same in two runs only if they have the same seed. Answers and targets
are read on request only, evidence never. Nothing is counted here.
"""

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from harness.api import Metric
from harness.errors import UserError, reading
from harness.run import plugins
from harness.run.controls import present_name
from harness.run.headline import refuse_unknown
from harness.run.metadata import RECORDS, RunMetadata, read_metadata
from harness.run.records import ESCAPED_FORMULA, MISTAKEN

LARGEST = float(np.finfo(np.float64).max)
IDENTITY = ("suite", "backend", "model", "sample_id", "question_id")  # slices follow
MEASURES = (  # between the slices and the metrics
    "context_tokens",
    "context_entries",
    "prompt_tokens",
    "new_tokens",
    "max_new_tokens",
    "contexts_held",
    "batch_id",
    "batch_size",
    "prepare_s",
    "generate_s",
    "prepare_peak_bytes",
    "generate_peak_bytes",
    "held_bytes",
    "memory_kind",
)
OUTCOME = ("evidence_recall", "answer", "targets", "evidence", "error", "notice")
OF_ANSWERS = (  # filled where there is an answer, as the metrics are
    "evidence_recall",
    "new_tokens",
    "cut",
    "answer_words",
    "thought_words",
)
TEXTS = frozenset({*IDENTITY, "batch_id", "memory_kind", "error", "notice"})
ANSWERS = frozenset({"answer", "targets"})  # the bulk of a file, and in no table
UNREAD = frozenset({"question", "evidence"})  # more than all the rest


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows that were read, and what their columns are.

    `frame` has the columns of records.csv (but for the texts that were not asked for) and these:
        run: number of the file; context: number of the context (the same sample under the same
        seed); question: number of the question among all suites; setup: model and settings;
        seed: of the samples, as text, empty if not known.
    """

    frame: pd.DataFrame
    slices: tuple[str, ...]
    metrics: tuple[str, ...]
    notes: tuple[str, ...]  # about the runs, for the reader of a report
    folders: tuple[Path, ...] = ()  # of the files that were read
    metadata: tuple[RunMetadata, ...] = ()  # of each file's run
    headline: str = ""  # that the reader wants, whatever the runs declare


def read_rows(paths: Sequence[Path], *, answers: bool = False, headline: str = "") -> Rows:
    """Read run folders, folders of them, and records.csv files.

    Args:
        paths: what to read.
        headline: the metric to compare backends by, where it is not what the runs declare.
        answers: whether to read answers and targets too, as they stand in the file.

    Raises:
        UserError: a path is missing, holds no run, or is no CSV of this tool.
    """
    files = list(dict.fromkeys(file for path in paths for file in _record_files(path)))
    frames: list[pd.DataFrame] = []
    metadata: list[RunMetadata] = []
    slices: dict[str, None] = {}
    metrics: dict[str, None] = {}
    for number, file in enumerate(files):
        with reading(file, advice="Restore it, or give another path."):
            frame, of_slices, of_metrics = _read_file(file, UNREAD if answers else UNREAD | ANSWERS)
        metadata.append(read_metadata(file.parent))
        frames.append(frame.assign(run=number))
        slices |= dict.fromkeys(of_slices)
        metrics |= dict.fromkeys(of_metrics)
    frame = pd.concat(frames, ignore_index=True)
    texts = [*TEXTS, *slices]
    frame[texts] = frame[texts].fillna("")  # a slice that another run does not have
    refuse_unknown(headline, metrics)
    frame, notes = _without_repeats(_numbered(frame, metadata))
    return Rows(
        frame,
        tuple(slices),
        tuple(metrics),
        (*_notes_on(metadata), *notes),
        tuple(file.parent for file in files),
        tuple(metadata),
        headline,
    )


def _record_files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise UserError(f"no such file or folder: {path}. Give run folders or records.csv files.")
    if path.is_file():
        yield path
        return
    if (path / RECORDS).is_file():
        yield path / RECORDS
        return
    found = sorted(path.glob(f"*/{RECORDS}"))
    if not found:
        raise UserError(f"no {RECORDS} in {path} or in a folder inside it. Is it a run folder?")
    yield from found


def _read_file(file: Path, unread: Collection[str]) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return a file's rows, its slice columns and its metric columns."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text. Give a {RECORDS} of gist-bench.") from error
    if not text.strip():
        raise UserError(f"{file} is empty. Run gist-bench run first, or give another path.")
    slices, metrics = sorts_of_columns(file, next(csv.reader([text.partition("\n")[0]])))
    # A run that is being written, or was killed, may end within a row: one row is one line.
    whole = text[: text.rfind("\n") + 1]
    try:
        frame = pd.read_csv(
            StringIO(whole),
            dtype=str,
            keep_default_na=False,
            usecols=lambda column: column not in unread,
        )
    except pd.errors.ParserError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"{file} is no {RECORDS} of gist-bench: {reason}.") from error
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame()
    if frame.empty:
        raise UserError(f"{file} has no rows. Run gist-bench run first, or give another path.")
    for column in TEXTS.union(slices).intersection(frame.columns):
        frame[column] = frame[column].str.replace(ESCAPED_FORMULA, r"\1", regex=True)
    frame["backend"] = frame["backend"].map(present_name)
    for column in frame.columns:
        if column not in TEXTS | ANSWERS and column not in slices:
            frame[column] = _numbers(file, frame[column])
    _refuse_impossible(file, frame, metrics)
    return frame, slices, metrics


def _refuse_impossible(file: Path, frame: pd.DataFrame, metrics: Sequence[str]) -> None:
    """Refuse figures that no run writes: metrics beyond their range, rows at odds with themselves.

    A metric is between 0 and 1 if its definition says so; one without definition is finite.
    """
    share = Metric("", "").unit
    shares = {metric.name for metric in plugins.metrics() if metric.unit == share}
    measures = [name for name in MEASURES if name in frame and name not in TEXTS]
    for name in measures:
        _refuse(file, ~frame[name].between(0, LARGEST), frame, name, "is impossible")
    for name in (*metrics, "evidence_recall"):
        low, high = (0, 1) if name in shares | {"evidence_recall"} else (-LARGEST, LARGEST)
        why = "is no metric from 0 to 1" if high == 1 else "is no finite number"
        _refuse(file, ~frame[name].between(low, high), frame, name, why)
    for name, wrong, why in _contradictions(frame, metrics):
        _refuse(file, wrong, frame, name, why)


def _contradictions(
    frame: pd.DataFrame, metrics: Sequence[str]
) -> Iterator[tuple[str, "pd.Series[bool]", str]]:
    """Yield a column, where it is at odds with another one of its row, and why."""
    failed = frame["error"] != ""
    for name in (*metrics, *OF_ANSWERS):
        if name in frame:
            yield name, failed, "stands beside an error: there is no answer to it"
    if {"abstained", "hallucinated"} <= set(metrics):
        apart = (frame["abstained"] + frame["hallucinated"] - 1).abs() > 1e-6
        yield "hallucinated", apart, "is not 1 - abstained"
    if {"abstained", "false_refusal"} <= set(metrics):
        both = frame["abstained"].notna()
        yield "false_refusal", both, "stands beside abstained, and no question has both"
    beyond = frame["context_entries"] > frame["prompt_tokens"]
    yield "context_entries", beyond, "is more than prompt_tokens, of which they are a part"
    # What a server counts is its own affair.
    over = (frame["new_tokens"] > frame["max_new_tokens"]) & frame["held_bytes"].notna()
    yield "new_tokens", over, "is more than max_new_tokens"


def _refuse(
    file: Path, wrong: "pd.Series[bool]", frame: pd.DataFrame, column: str, why: str
) -> None:
    """Refuse the first row that has a figure in `column` and is wrong."""
    places = np.flatnonzero(wrong & frame[column].notna())
    if len(places):
        value = frame[column].iloc[places[0]]
        raise UserError(
            f"{file} line {places[0] + 2}: {value:g} in column {column!r} {why}. {MISTAKEN}"
        )


def sorts_of_columns(file: Path, header: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the slice columns and the metric columns; their places tell them apart."""
    missing = [name for name in (*IDENTITY, *MEASURES, *OUTCOME) if name not in header]
    if missing:
        shown = ", ".join(missing[:4]) + (" and more" if len(missing) > 4 else "")
        raise UserError(
            f"{file} is no {RECORDS} of gist-bench: it lacks the columns {shown}. "
            "Give a run folder or its records.csv."
        )
    first, last = header.index(MEASURES[0]), header.index(MEASURES[-1])
    slices = header[header.index(IDENTITY[-1]) + 1 : first]
    return list(slices), list(header[last + 1 : header.index(OUTCOME[0])])


def _numbers(file: Path, column: "pd.Series[str]") -> "pd.Series[float]":
    """Return a column of numbers; an empty cell is NaN, never 0."""
    numbers = pd.to_numeric(column.where(column != ""), errors="coerce").astype(float)
    wrong = np.flatnonzero(numbers.isna() & column.notna() & (column != ""))
    if len(wrong):
        raise UserError(
            f"{file} line {wrong[0] + 2}: {column.iloc[wrong[0]]!r} in column {column.name!r} "
            f"is no number. {MISTAKEN}"
        )
    return numbers


def _numbered(frame: pd.DataFrame, metadata: Sequence[RunMetadata]) -> pd.DataFrame:
    """Add the numbers of contexts and questions, and the setup."""
    origin = frame[["run", "suite", "model"]].drop_duplicates()
    models = list(zip(origin["run"], origin["model"], strict=True))
    setups = _setups(models, metadata)
    origin["setup"] = [setups[model] for model in models]
    origin["data"] = [
        metadata[run].data_of(suite)
        for run, suite in zip(origin["run"], origin["suite"], strict=True)
    ]
    origin["seed"] = [metadata[run].seed for run in origin["run"]]
    frame = frame.merge(origin, on=["run", "suite", "model"], how="left")
    context = frame["data"] + "\0" + frame["sample_id"]
    question = context + "\0" + frame["question_id"]
    return frame.assign(context=pd.factorize(context)[0], question=pd.factorize(question)[0])


def _setups(
    models: Iterable[tuple[int, str]], metadata: Sequence[RunMetadata]
) -> dict[tuple[int, str], str]:
    """Return model and settings of each run; different models of one name get different texts."""
    names = {
        (run, model): ", ".join(filter(None, (model, metadata[run].settings)))
        for run, model in models
    }
    prints: dict[str, set[str]] = {}
    for (run, _), name in names.items():
        prints.setdefault(name, set()).add(metadata[run].fingerprint)
    return {
        (run, model): name if len(prints[name]) == 1 else f"{name}, {metadata[run].fingerprint[:8]}"
        for (run, model), name in names.items()
    }


def _notes_on(metadata: Sequence[RunMetadata]) -> Iterator[str]:
    """Yield what is to be known about the runs, each note once."""
    machines = list(dict.fromkeys(run.machine for run in metadata if run.machine))
    if machines:
        yield f"Machine: {'; '.join(machines)}"
    if len(machines) > 1:
        yield "The runs are from different machines: their times cannot be compared."
    yield from dict.fromkeys(note for run in metadata for note in run.notes)


def _without_repeats(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Keep the last of the rows that several runs have in common."""
    repeated = frame.duplicated(["setup", "suite", "backend", "question"], keep="last")
    if not repeated.any():
        return frame, ()
    note = f"{int(repeated.sum())} rows occur in several of the runs: the last run is used."
    return frame[~repeated].reset_index(drop=True), (note,)
