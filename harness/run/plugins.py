"""Backends and suites by name: installed entry points, or `module:Class`.

A built-in is an entry point like any other, so that a plug-in needs no line of this project.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, cast

from harness.api import Metric, Suite
from harness.errors import UserError, did_you_mean, reading

BACKENDS = "gist_bench.backends"
SERVED = "gist_bench.served_backends"  # for models behind a server
SUITES = "gist_bench.suites"
LAYOUTS = "gist_bench.data"  # layouts of data sets, for the suites over documents
STORES = "gist_bench.stores"  # gists as files: `file` and `folder`
_MEMBERS = MappingProxyType(
    {BACKENDS: ("prepare", "describe", "close"), SUITES: ("samples", "score")}
)
METRICS = "gist_bench.metrics"  # what the metrics of suites mean: tuples of `Metric`


def names(group: str) -> list[str]:
    """Return the names installed under an entry point group, sorted."""
    return sorted(_installed(group))


def load(group: str, name: str) -> type:
    """Return the class that `name` stands for: an entry point of `group`, or `module:Class`.

    Raises:
        UserError: no such name, or its module cannot be imported.
    """
    known = _installed(group)
    if ":" in name:
        entry = EntryPoint(name=name, value=name, group=group)
    elif name in known:
        entry = known[name]
    else:
        word = group.rpartition(".")[2].removesuffix("s").replace("_", " ")
        raise UserError(
            f"unknown {word} {name!r}. {did_you_mean(name, known)}"
            f"Installed: {', '.join(sorted(known))}; or write module:Class."
        )
    found = _import(entry)
    for member in _MEMBERS.get(group, ()):
        if not callable(getattr(found, member, None)):
            raise UserError(
                f"{name!r} is no {group.rpartition('.')[2].removesuffix('s')}: its class "
                f"{found.__name__} has no method {member!r}. "
                f"It needs {', '.join(_MEMBERS[group])}; see docs/extending.md."
            )
    return found


def load_layout(name: str) -> Any:
    """Return an installed layout of data sets: an object with `score`, `metrics`, `title`, ..."""
    return _installed(LAYOUTS)[name].load()


def metrics_of(suite: str) -> tuple[str, ...]:
    """Return the metrics of an installed suite, the headline first; none if it is not installed.

    Other names are never imported: they may come from somebody else's CSV.
    """
    try:
        kind = cast(type[Suite], load(SUITES, suite)) if suite in _installed(SUITES) else None
    except UserError:  # a suite that cannot be run here can still be reported
        return ()
    return () if kind is None else kind.metrics


def metrics() -> list[Metric]:
    """Return the definitions that are installed with the suites and data sets."""
    entries = sorted(_installed(METRICS).values(), key=lambda entry: entry.name)
    found: list[Metric] = []
    for entry in entries:
        with reading(f"the metrics of {entry.value!r}", advice="Correct or remove that package."):
            found += entry.load()
    return found


def _import(entry: EntryPoint) -> type:
    module_name, _, attribute = entry.value.partition(":")
    with reading(f"{entry.value!r}", fault="cannot be imported", advice="Correct its code."):
        try:
            module = import_module(module_name)
        except (ImportError, ValueError) as missing:  # ValueError: an empty module name
            raise UserError(
                f"cannot import {entry.value!r}: {missing}. Is it installed?"
            ) from missing
    found = getattr(module, attribute, None)
    if not isinstance(found, type):
        raise UserError(f"module {module_name!r} has no class {attribute!r}. Write module:Class.")
    return found


@cache  # reading the metadata of every installed package takes 20 ms
def _installed(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}
