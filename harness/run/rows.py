"""The rows of any number of runs, ready to be grouped: a data frame, or column by column from disk.

Added columns keep runs apart: runs with different settings are never averaged, and a sample is the
same in two runs only if they have the same seed. Answers and targets are read on request only,
evidence never. Nothing is counted here.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.errors import UserError, reading
from harness.run.headline import refuse_unknown
from harness.run.kept import CONSTANT, Group, Kept, write_groups
from harness.run.metadata import RECORDS, RunMetadata, read_metadata
from harness.run.parsing import ANSWERS, TEXTS, UNREAD, Header, read_header, read_pieces

NUMBERS = ("line", "context", "question")  # that are added to the columns of a file
Contexts = defaultdict[str, defaultdict[str, int]]  # their numbers, by data and sample
ODD = np.uint64(0x9E3779B97F4A7C15)  # spreads the numbers of contexts over all 64 bits


@dataclass(frozen=True)
class Rows:
    """All rows that were read, and what their columns are.

    They have the columns of records.csv (but for the texts that were not asked for) and these:
        run: number of the file; context: number of the context (the same sample under the same
        seed); question: number of the question among all suites; setup: model and settings;
        seed: of the samples, as text, empty if not known; line: number of the row in its file.
    """

    parts: Mapping[tuple[str, str], Kept]  # by setup and suite, in the order of their first rows
    slices: tuple[str, ...]
    metrics: tuple[str, ...]
    notes: tuple[str, ...]  # about the runs, for the reader of a report
    folders: tuple[Path, ...] = ()  # of the files that were read
    metadata: tuple[RunMetadata, ...] = ()  # of each file's run
    headline: str = ""  # that the reader wants, whatever the runs declare

    @property
    def setups(self) -> list[str]:
        """Every setup once."""
        return list(dict.fromkeys(setup for setup, _ in self.parts))

    @property
    def suites(self) -> dict[str, Kept]:
        """The rows of each suite, whatever their setup."""
        found: dict[str, list[Group]] = {}
        for (_, suite), part in self.parts.items():
            found.setdefault(suite, []).extend(part.groups)
        texts = next(iter(self.parts.values())).texts if self.parts else frozenset()
        return {suite: Kept(tuple(groups), texts) for suite, groups in found.items()}


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
    groups: list[Group] = []
    metadata: list[RunMetadata] = []
    slices: dict[str, None] = {}
    metrics: dict[str, None] = {}
    number_of: Contexts = defaultdict(partial(defaultdict, count().__next__))
    for number, file in enumerate(files):
        with reading(file, advice="Restore it, or give another path."):
            columns = read_header(file, UNREAD if answers else UNREAD | ANSWERS)
            run = read_metadata(file.parent)
            pieces = _numbered(read_pieces(file, columns), run, number_of)
            groups += write_groups(pieces, _schema(columns), {"run": number, "seed": run.seed})
        metadata.append(run)
        slices |= dict.fromkeys(columns.slices)
        metrics |= dict.fromkeys(columns.metrics)
    refuse_unknown(headline, metrics)
    parts, repeats = _parts(groups, metadata, {*TEXTS, *ANSWERS, *slices, "setup", "seed"})
    return Rows(
        parts,
        tuple(slices),
        tuple(metrics),
        tuple(_notes_on(metadata, repeats)),
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


def _schema(columns: Header) -> pa.Schema:
    """Return what is stored of each row."""
    kinds = {
        name: pa.string() if name in columns.texts else pa.float64()
        for name in columns.names
        if name not in CONSTANT
    }
    return pa.schema([*kinds.items(), *((name, pa.int64()) for name in NUMBERS)])


def _numbered(
    pieces: Iterable[pd.DataFrame], run: RunMetadata, number_of: Contexts
) -> Iterator[pd.DataFrame]:
    """Add the numbers of rows, contexts and questions.

    Contexts are counted. Questions are too many for that: the number is a hash of 64 bits.
    """
    for frame in pieces:
        numbers = np.empty(len(frame), np.int64)
        for suite, rows in frame.groupby("suite", sort=False).indices.items():
            of_data = number_of[run.data_of(str(suite))]
            places, samples = pd.factorize(frame["sample_id"].iloc[rows])
            numbers[rows] = np.array([of_data[name] for name in samples], np.int64)[places]
        hashes = pd.util.hash_array(frame["question_id"].to_numpy(object))
        questions = hashes + numbers.astype(np.uint64) * ODD
        yield frame.assign(line=frame.index, context=numbers, question=questions.view(np.int64))


def _parts(
    groups: Iterable[Group], metadata: Sequence[RunMetadata], texts: set[str]
) -> tuple[dict[tuple[str, str], Kept], int]:
    """Return the rows of each setup and suite, and how many are left out as repeats.

    Of the rows that several runs have in common, the last is kept.
    """
    models = dict.fromkeys((g.constants["run"], g.constants["model"]) for g in groups)
    setups = _setups(models, metadata)
    found: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        of = group.constants
        setup = setups[of["run"], of["model"]]
        whole = replace(group, constants={**of, "setup": setup})
        found.setdefault((setup, of["suite"]), []).append(whole)
    parts, repeats = {}, 0
    for key, own in found.items():
        kept, left_out = _without_repeats(Kept(tuple(own), frozenset(texts)))
        parts[key], repeats = kept, repeats + left_out
    return parts, repeats


def _without_repeats(part: Kept) -> tuple[Kept, int]:
    """Leave out all but the last row of a backend's question, and say how many."""
    left_out = 0
    shown = [np.ones(group.rows, np.bool_) for group in part.groups]
    for backend in part.backends:
        of_backend = part.of(backend)
        numbers = of_backend[["question"]]["question"]
        if not numbers.duplicated().any():
            continue
        keys = of_backend[["context", "question", "run", "line"]]
        repeated = keys[keys.duplicated(["context", "question"], keep="last")]
        left_out += len(repeated)
        for at, group in enumerate(part.groups):
            of_run = repeated["run"] == group.constants["run"]
            lines = group.read(["line", "backend"], part.texts)
            again = lines["line"].isin(repeated.loc[of_run, "line"]) & (lines["backend"] == backend)
            shown[at] &= ~again.to_numpy(np.bool_)
    if not left_out:
        return part, 0
    groups = zip(part.groups, shown, strict=True)
    return replace(part, groups=tuple(replace(g, shown=rows) for g, rows in groups)), left_out


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


def _notes_on(metadata: Sequence[RunMetadata], repeats: int) -> Iterator[str]:
    """Yield what is to be known about the runs, each note once."""
    machines = list(dict.fromkeys(run.machine for run in metadata if run.machine))
    if machines:
        yield f"Machine: {'; '.join(machines)}"
    if len(machines) > 1:
        yield "The runs are from different machines: their times cannot be compared."
    yield from dict.fromkeys(note for run in metadata for note in run.notes)
    if repeats:
        yield f"{repeats:,} rows occur in several of the runs: the last run is used."
