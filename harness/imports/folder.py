"""Write imported rows as a run folder, whole or not at all."""

import hashlib
from pathlib import Path

from harness.files import file_hash
from harness.imports.imported import Imported
from harness.run.records import columns
from harness.run.runfolder import now, write_finished

RUNS = Path("results/runs")


def write(imported: Imported, folder: Path | None, *, command: str) -> Path:
    """Write `records.csv` and `run.json` into a new folder and return it.

    Without a `folder`, its name is a hash of the rows' data and names; run.json has the `command`.

    Raises:
        UserError: the folder exists.
    """
    file = imported.file
    if folder is None:
        key = f"{imported.data_hash}{imported.names}"
        folder = RUNS / f"imported-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    names = imported.names
    run = {
        "status": "finished",
        "started": now(),
        "command": command,
        "notices": [
            f"Imported from {imported.tool}: {file.name}. Tokens, times and memory are not known "
            "where the table has a dash.",
            *imported.notices,
        ],
        "configuration": {
            "model": names.model,
            "suites": {names.suite: {"data": imported.data_hash}},
            "backends": {names.backend: {}},
            "imported": {"tool": imported.tool, "file": file.name, "sha256": file_hash(file)},
        },
        "environment": {},
    }
    header = columns(imported.slice_names, imported.metrics)
    write_finished(folder, header, imported.rows, lambda: run)
    return folder
