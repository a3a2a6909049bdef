"""Data sets that people know, read from files in their published layouts.

One module per layout, each with a `FORMAT`. They come in by the entry points of `GROUP`, whose
names are the prefixes: `data=babi:FILE` reads FILE as `babi.FORMAT` says. A layout of your own is
one more entry point of any installed package. The modules `format`, `fields` and `lines` are what
they share.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from benchmarks.data.formats.format import Entry, Format, Paragraph

__all__ = ["GROUP", "Entry", "Format", "Paragraph", "load", "names"]

GROUP = "gist_bench.data"


def names() -> list[str]:
    """Return the prefixes that are installed."""
    return sorted(_installed())


def load(name: str) -> Format:
    """Return the format behind a prefix of `names`."""
    found = _installed()[name].load()
    assert isinstance(found, Format), f"{name} is no {Format.__name__}"
    return found


@cache  # reading the metadata of every installed package takes 20 ms
def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
