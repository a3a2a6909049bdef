"""Rows on disk, in columns, so that a report takes no more memory than the columns it looks at.

A records.csv holds texts and forty figures of every row; a table needs two or three of them, of one
backend. So the rows are checked once and written to a Parquet file without a name, which is gone
when nobody reads it any more. `Kept` hands out columns as data frames.
"""

import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import DISK_IS_FULL

Places = npt.NDArray[np.integer[Any]]
Test = Callable[["pd.Series[Any]"], "pd.Series[bool]"]
CONSTANT = ("run", "suite", "model", "setup", "seed")  # in all rows of a group: not stored


class Columns(Protocol):
    """What columns are taken from: rows on disk, or a data frame."""

    def __contains__(self, name: str) -> bool: ...
    def __getitem__(self, names: list[str]) -> pd.DataFrame: ...


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one suite and model that were written together."""

    file: pq.ParquetFile
    place: int  # of its row group in the file
    rows: int
    constants: Mapping[str, Any]
    backends: Mapping[str, str]  # in the order of their rows; stored name -> the name to show
    shown: npt.NDArray[np.bool_] | None = None  # (rows,) those that count; None: all

    def read(self, names: Sequence[str], texts: Collection[str]) -> pd.DataFrame:
        """Return columns; one that the file does not have is empty."""
        stored = [name for name in names if name in self.file.schema_arrow.names]
        frame = pd.DataFrame(index=pd.RangeIndex(self.rows))
        if stored:
            frame = self.file.read_row_group(self.place, columns=stored).to_pandas()
        if "backend" in stored and any(name != shown for name, shown in self.backends.items()):
            frame["backend"] = frame["backend"].map(self.backends)
        for name in names:
            if name not in stored:
                nothing = "" if name in texts else np.nan
                frame[name] = self.constants.get(name, nothing)
        return frame if self.shown is None else frame[self.shown]


@dataclass(frozen=True, slots=True)
class Kept:
    """Some rows, in their order, of which columns are read as they are asked for."""

    groups: tuple[Group, ...]
    texts: frozenset[str]  # columns of text; all others are numbers
    only: frozenset[str] | None = None  # the backends whose rows are there; None: all
    tests: tuple[tuple[str, Test], ...] = ()  # of a column: only rows that pass all are there

    def __contains__(self, name: str) -> bool:
        return name in CONSTANT or any(name in g.file.schema_arrow.names for g in self.groups)

    def __getitem__(self, names: list[str]) -> pd.DataFrame:
        """Return columns of all rows, as of a data frame; one that no file has is empty."""
        parts = [part for part in self._parts(names) if len(part)]
        if parts:
            return pd.concat(parts, ignore_index=True)
        return self._of_none(names)

    def __len__(self) -> int:
        return sum(map(len, self._parts([])))

    @property
    def names(self) -> list[str]:
        """All columns."""
        found = [name for group in self.groups for name in group.file.schema_arrow.names]
        return list(dict.fromkeys((*found, *CONSTANT)))

    @property
    def backends(self) -> list[str]:
        """The backends, in the order of their first rows, whatever other tests say."""
        names = dict.fromkeys(name for g in self.groups for name in g.backends.values())
        return [name for name in names if self.only is None or name in self.only]

    def constant(self, name: str) -> list[Any]:
        """Return what a constant column holds, for each group of rows."""
        return [group.constants[name] for group in self.groups]

    def has(self, column: str) -> bool:
        """Say whether any row has something in a column."""
        parts = (part[column] for part in self._parts([column]))
        is_text = column in self.texts
        return any(bool((part != "").any() if is_text else part.notna().any()) for part in parts)

    def distinct(self, names: list[str]) -> pd.DataFrame:
        """Return what stands together in some columns, each once, in the order of the rows.

        For columns that hold few different things: a row of each is in memory, and no more.
        """
        found = self._of_none(names)
        for part in self._parts(names):
            fresh = part.drop_duplicates()
            found = pd.concat([found, fresh]).drop_duplicates() if len(found) else fresh
        return found.reset_index(drop=True)

    def at(self, names: list[str], places: Places) -> pd.DataFrame:
        """Return columns of a few rows, by their places among all rows; others are not kept."""
        found, start = [], 0
        for part in self._parts(names):
            inside = (places >= start) & (places < start + len(part))
            found.append(part.iloc[places[inside] - start].set_index(places[inside]))
            start += len(part)
        return pd.concat(found).loc[places] if found else self._of_none(names)

    def hashes(self, column: str) -> npt.NDArray[np.uint64]:
        """Return a number for each text, the same for the same text: less memory than texts."""
        parts = (part[column].to_numpy(object) for part in self._parts([column]))
        return np.concatenate([np.empty(0, np.uint64), *map(pd.util.hash_array, parts)])

    def of(self, *backends: str) -> "Kept":
        """Return the rows of some backends."""
        only = frozenset(backends) & frozenset(self.backends)
        groups = (g for g in self.groups if not only.isdisjoint(g.backends.values()))
        return replace(self, groups=tuple(groups), only=only)

    def where(self, column: str, test: Test) -> "Kept":
        """Return the rows that pass a test of a column."""
        return replace(self, tests=(*self.tests, (column, test)))

    def having(self, column: str) -> "Kept":
        """Return the rows in which a figure is known."""
        return self.where(column, pd.Series.notna)

    def renamed(self, shown: Callable[[int, str], str]) -> "Kept":
        """Return the same rows under the names that `shown` gives to the backends of a run."""
        groups = (
            replace(g, backends={name: shown(g.constants["run"], name) for name in g.backends})
            for g in self.groups
        )
        return replace(self, groups=tuple(groups))

    def _parts(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        for group in self.groups:
            tests = self.tests
            only = self.only
            if only is not None and not only.issuperset(group.backends.values()):
                tests = (("backend", partial(pd.Series.isin, values=only)), *tests)
            needed = list(dict.fromkeys((*names, *(column for column, _ in tests))))
            frame = group.read(needed, self.texts)
            for column, test in tests:
                frame = frame[test(frame[column])]
            yield frame[list(names)]

    def _of_none(self, names: Sequence[str]) -> pd.DataFrame:
        """Return the columns without rows."""
        kinds = {"run": "int64", "context": "int64", "question": "int64"}
        kinds |= dict.fromkeys(self.texts, "str")
        return pd.DataFrame({n: pd.Series(dtype=kinds.get(n, "float64")) for n in names})


def write_groups(
    pieces: Iterator[pd.DataFrame], schema: pa.Schema, constants: Mapping[str, Any]
) -> list[Group]:
    """Write pieces of a run's rows, each split by suite and model, and return where they are.

    Args:
        pieces: their columns hold suite and model beside those of the schema.
        schema: what is stored.
        constants: of all rows.
    """
    handle, name = tempfile.mkstemp(prefix="gist-bench-", suffix=".parquet")
    os.close(handle)
    found: list[tuple[int, Mapping[str, Any], dict[str, str]]] = []
    try:
        with pq.ParquetWriter(name, schema, compression="lz4") as writer:
            for piece in pieces:
                for (suite, model), rows in piece.groupby(["suite", "model"], sort=False):
                    table = pa.Table.from_pandas(rows[schema.names], schema, preserve_index=False)
                    writer.write_table(table)
                    backends = {str(backend): str(backend) for backend in rows["backend"].unique()}
                    whose = {**constants, "suite": suite, "model": model}
                    found.append((len(rows), whose, backends))
        file = pq.ParquetFile(pa.OSFile(name))  # the open file outlives its name
    except OSError as error:
        if error.errno in DISK_IS_FULL:  # Arrow names no file
            error.filename = str(Path(name).parent)
        raise
    finally:
        Path(name).unlink()
    return [Group(file, place, *group) for place, group in enumerate(found)]
