"""What stands behind the option `data`: a file in a known layout, as samples.

`data=babi:FILE` names a layout of `benchmarks.formats`; a plain path is a person's own JSONL, as
`benchmarks.datafile` describes it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks import datafile, formats
from benchmarks.formats import Entry, Format
from harness.api import Sample
from harness.errors import UserError

_PREFIXED = re.compile(r"([A-Za-z]\w+):(.*)", re.DOTALL)  # C:\file is a path


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that was read and checked."""

    format: Format
    entries: tuple[Entry, ...]

    @classmethod
    def open(cls, data: str) -> Self:
        """Read what `data` names.

        Raises:
            UserError: the prefix is unknown, or the file is not in its layout.
        """
        kind, path = _place(data)
        return cls(kind, tuple(kind.read(path)))

    def samples(self, *, max_new_tokens: int) -> Iterator[Sample]:
        """Yield one sample per context, in the order of the file."""
        for entry in self.entries:
            context = self.format.separator.join(part.text for part in entry.paragraphs)
            yield Sample(entry.id, context, entry.questions, max_new_tokens, slices=entry.slices)


def _place(data: str) -> tuple[Format, Path]:
    parts = _PREFIXED.fullmatch(data)
    if parts and parts[1] in formats.names():
        return formats.load(parts[1]), Path(parts[2]).expanduser()
    path = Path(data).expanduser()
    if parts and not path.exists():
        raise UserError(
            f"unknown prefix {parts[1]!r} in data={data}. Prefixes: {', '.join(formats.names())}; "
            "a path without one is JSONL of your own."
        )
    return datafile.FORMAT, path
