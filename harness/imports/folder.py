"""Write imported rows as a run folder, whole or not at all."""

import hashlib
from pathlib import Path

from harness.files import file_hash
from harness.imports.imported import Imported
from harness.imports.kvpress import PREDICTIONS
from harness.run.records import columns
from harness.run.runfolder import now, write_finished

RUNS = Path("results/runs")


def write(imported: Imported, path: Path, folder: Path | None, *, command: str) -> Path:
    """Write `records.csv` and `run.json` into a new folder and return it.

    Args:
        imported: the rows.
        path: the file that they were read from, or the folder that holds it.
        folder: the new folder; by default one named by a hash of the rows' data and names.
        command: what the user typed, for `run.json`.

    Raises:
        UserError: the folder exists.
    """
    source = path / PREDICTIONS if path.is_dir() else path
    if folder is None:
        key = f"{imported.data_hash}{imported.names}"
        folder = RUNS / f"imported-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    names = imported.names
    run = {
        "status": "finished",
        "started": now(),
        "command": command,
        "notices": [
            f"Imported from {imported.tool}: {source.name}. Tokens, times and memory are not known "
            "where the table has a dash.",
            *imported.notices,
        ],
        "configuration": {
            "model": names.model,
            "suites": {names.suite: {"data": imported.data_hash}},
            "backends": {names.backend: {}},
            "imported": {
                "tool": imported.tool,
                "file": source.name,
                "sha256": file_hash(source),
            },
        },
        "environment": {},
    }
    header = columns(imported.slice_names, imported.metrics)
    write_finished(folder, header, imported.rows, lambda: run)
    return folder
