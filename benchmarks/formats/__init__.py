"""Data sets that people know, read from files in their published layouts.

One module per layout, and its name is the prefix: `data=babi:FILE` reads FILE as `babi.py` says.
A module holds `FORMAT`, and adding one is all that a new layout needs. Modules with a leading
underscore are shared by the others.
"""

from importlib import import_module
from pkgutil import iter_modules

from benchmarks.formats._format import Entry, Format, Metric, Paragraph

__all__ = ["Entry", "Format", "Metric", "Paragraph", "load", "names"]


def names() -> list[str]:
    """Return the prefixes that there are."""
    return sorted(item.name for item in iter_modules(__path__) if not item.name.startswith("_"))


def load(name: str) -> Format:
    """Return the format behind a prefix of `names`."""
    found = import_module(f"{__name__}.{name}").FORMAT
    assert isinstance(found, Format), name
    return found
