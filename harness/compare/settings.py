"""What run.json says of two runs: whether they read the same files, and which settings differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.errors import UserError
from harness.run.metadata import RUN, RunMetadata

MAX_DIFFERING = 8  # settings that are named


def refuse_other_files(base: Sequence[RunMetadata], new: Sequence[RunMetadata]) -> None:
    """Compare the hashes of the data files that the suites were given.

    Raises:
        UserError: those of a suite differ.
    """
    before, now = _files(base), _files(new)
    for suite in before.keys() & now.keys():
        if before[suite] and now[suite] and before[suite] != now[suite]:
            raise UserError(
                f"BASE and NEW read different data in {suite}: the hash of its file in {RUN} "
                "differs. Run both on the same file."
            )


def _files(runs: Sequence[RunMetadata]) -> dict[str, set[str]]:
    """Return the hashes of each suite's data files; their paths may differ."""
    found: dict[str, set[str]] = {}
    for run in runs:
        for suite, text in run.suites.items():
            files = json.loads(text).get("files") or {}
            found.setdefault(suite, set()).update(map(str, files.values()))
    return found


def of_machines(machines: Sequence[set[str]], *, same: bool) -> Iterator[str]:
    """Yield a line if the runs are not known to be of the same machine."""
    if not same:
        old, now = (", ".join(sorted(filter(None, names))) or "not known" for names in machines)
        yield f"Different machines, so times are left out. BASE: {old}. NEW: {now}."


def of_status(name: str, runs: Sequence[RunMetadata]) -> Iterator[str]:
    """Yield what is to be said of the runs of one side that did not finish."""
    for run in runs:
        if not run.is_finished:
            yield f"{name}: {run.notes[0]}"


def differing_settings(base: Sequence[RunMetadata], new: Sequence[RunMetadata]) -> Iterator[str]:
    """Yield the settings and packages that differ between two runs."""
    if len(base) > 1 or len(new) > 1:
        return
    before, now = (_settings(side[0].everything) for side in (base, new))
    differing = [
        f"{name}: {before[name]} -> {now[name]}"
        for name in before
        if name in now and before[name] != now[name]
    ]
    if differing:
        more = len(differing) - MAX_DIFFERING
        yield (
            "Different settings: "
            + "; ".join(differing[:MAX_DIFFERING])
            + (f"; {more} more" if more > 0 else "")
        )


def _settings(run: Mapping[str, Any]) -> dict[str, str]:
    """Return the leaves of a run's configuration and packages, by their path."""
    environment = run.get("environment") or {}
    parts = {**(run.get("configuration") or {}), **(environment.get("packages") or {})}
    flat = pd.json_normalize({**parts, "python": environment.get("python")}).to_dict("records")[0]
    return {str(path): str(value) for path, value in flat.items()}
