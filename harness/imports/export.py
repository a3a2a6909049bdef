"""Records of ours in the files of other tools: what `import` reads, so that the way back is known.

Each suite with each backend becomes what the other tool writes for one evaluation. Contexts are not
in the records; the sample's id stands for them, so that questions of one context stay together.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from harness.errors import UserError
from harness.run.metadata import RECORDS
from harness.run.records import each_row
from harness.run.rows import read_rows
from harness.run.runfolder import new_folder

_DATE = "1970-01-01T00-00-00"  # lm-eval's names need one; the same run gives the same files
Part = tuple[str, str, str]  # suite, backend and model


class Writer(Protocol):
    """The files of one evaluation, in a folder of their own."""

    path: Path  # to import, in that folder

    def add(self, row: Mapping[str, str]) -> None:
        """Write an answered row."""

    def close(self) -> None:
        """Close the file."""


def export(run: Path, folder: Path, tool: str) -> list[Path]:
    """Write the answered rows of a run for `kvpress` or `lm-eval`; return the files to import.

    Rows are read one at a time, and go to the files of all evaluations as they come.

    Raises:
        UserError: there is no run, nothing of it is answered, or the folder exists.
    """
    metrics = read_rows([run]).metrics  # says in a line what is wrong with the file
    file = run / RECORDS if run.is_dir() else run
    with new_folder(folder) as unfinished, ExitStack() as files:
        writers: dict[Part, Writer] = {}
        for row in each_row(file):
            if row["error"] or not row["targets"]:
                continue
            part = row["suite"], row["backend"], row["model"]
            if part not in writers:
                place = unfinished / _hash(part)
                place.mkdir()
                writers[part] = files.enter_context(closing(_TOOLS[tool](place, part, metrics)))
            writers[part].add(row)
        if not writers:
            raise UserError(f"{run} has no answers to export.")
        names = {part: f"{n:02}-{_hash(part)}" for n, part in enumerate(sorted(writers))}
        for part, name in names.items():
            (unfinished / _hash(part)).rename(unfinished / name)
    return [folder / name / writers[part].path for part, name in names.items()]


def _hash(part: Part) -> str:
    return hashlib.sha256(repr(part).encode()).hexdigest()[:8]


class KVPress:
    """`predictions.csv` and `config.yaml`; kvpress stores no scores."""

    path = Path()

    def __init__(self, folder: Path, part: Part, metrics: Sequence[str]) -> None:  # noqa: ARG002
        import yaml

        suite, backend, model = part
        config = {"dataset": suite, "model": model, "press_name": backend}
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        self._file = (folder / "predictions.csv").open("w", encoding="utf-8", newline="")
        names = ("sample_id", "question", "answer", "predicted_answer", "task", "max_new_tokens")
        self._writer = csv.DictWriter(self._file, names)
        self._writer.writeheader()

    def add(self, row: Mapping[str, str]) -> None:
        """Write an answered row."""
        cells = {name: row.get(name, "") for name in self._writer.fieldnames}
        cells |= {"answer": repr(_targets(row)), "predicted_answer": row["answer"]}
        self._writer.writerow(cells)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LMEval:
    """The samples of a task with their scores, and the results file beside them."""

    path = Path(f"samples_task_{_DATE}.jsonl")

    def __init__(self, folder: Path, part: Part, metrics: Sequence[str]) -> None:
        suite, backend, model = part
        results: dict[str, Any] = {"model_name": model, "model_source": backend}
        results["gist_bench"] = {"suite": suite, "backend": backend}
        text = json.dumps(results, indent=2) + "\n"
        (folder / f"results_{_DATE}.json").write_text(text, encoding="utf-8")
        self._metrics, self._number = metrics, count()
        self._file = (folder / self.path).open("w", encoding="utf-8")

    def add(self, row: Mapping[str, str]) -> None:
        """Write an answered row."""
        scores = {name: float(row[name]) for name in self._metrics if row[name]}
        document = {"sample_id": row["sample_id"], "question": row.get("question", "")}
        longest = int(float(row["max_new_tokens"])) if row["max_new_tokens"] else None
        sample = {
            "doc_id": next(self._number),
            "doc": {**document, "question_id": row["question_id"]},
            "target": _targets(row),
            "arguments": {"gen_args_0": {"arg_1": {"max_gen_toks": longest}}},
            "resps": [[row["answer"]]],
            "filtered_resps": [row["answer"]],
            "filter": "none",
            "metrics": list(scores),
            **scores,
        }
        self._file.write(json.dumps(sample) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _targets(row: Mapping[str, str]) -> list[str]:
    found: list[str] = json.loads(row["targets"])
    return found


_TOOLS: Mapping[str, Callable[[Path, Part, Sequence[str]], Writer]] = {
    "kvpress": KVPress,
    "lm-eval": LMEval,
}
