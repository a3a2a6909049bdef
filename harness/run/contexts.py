"""The contexts of a run, each once, in a compressed file beside its records.

With it, a stored run can be read by itself: what was asked about what. A run may leave it out
(`--no-contexts`), and runs of earlier versions have none: then nothing is known.
"""

import gzip
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import reading
from harness.files import write_atomically
from harness.run.plan import Job
from harness.text import encodable

CONTEXTS = "contexts.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Context:
    """What a sample's questions are about."""

    text: str
    support: Mapping[str, tuple[str, ...]]  # question id -> sentences that prove its answer


def keep_contexts(folder: Path, jobs: Sequence[Job], *, wanted: bool) -> None:
    """Write the contexts of the suites with scores, or remove them if they are not wanted."""
    file = folder / CONTEXTS
    if not wanted:
        file.unlink(missing_ok=True)
        return
    data = io.BytesIO()
    with gzip.GzipFile(fileobj=data, mode="wb", mtime=0) as packed:  # the same run: the same bytes
        for job in jobs:
            for sample in job.samples if job.suite.metrics else ():
                line = {
                    "suite": job.name,
                    "sample_id": sample.id,
                    "context": sample.context,
                    "support": {one.id: one.support for one in sample.questions if one.support},
                }
                packed.write(json.dumps(line).encode() + b"\n")
    write_atomically(file, data.getvalue())


def read_contexts(
    folder: Path, wanted: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Context]:
    """Return the wanted contexts of a run, by suite and sample; none if they were not kept.

    Raises:
        UserError: the file is damaged.
    """
    file = folder / CONTEXTS
    found: dict[tuple[str, str], Context] = {}
    if not (wanted and file.is_file()):
        return found
    with (
        reading(file, fault="is damaged", advice="Remove it: a report does without it."),
        gzip.open(file, "rt", encoding="utf-8") as lines,
    ):
        for line in lines:
            entry = json.loads(line)
            key = (str(entry["suite"]), str(entry["sample_id"]))
            if key in wanted:
                support = {
                    str(question): tuple(map(encodable, sentences))
                    for question, sentences in entry["support"].items()
                }
                found[key] = Context(encodable(entry["context"]), support)
    return found
