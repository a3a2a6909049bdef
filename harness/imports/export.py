"""Records of ours in the files of other tools: what `import` reads, so that the way back is known.

Each suite with each backend becomes what the other tool writes for one evaluation. Contexts are not
in the records; the sample's id stands for them, so that questions of one context stay together.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.run.metadata import RECORDS
from harness.run.parsing import sorts_of_columns
from harness.run.records import read_cells
from harness.run.rows import read_rows

_DATE = "1970-01-01T00-00-00"  # lm-eval's names need one; the same run gives the same files
Records = Sequence[Mapping[str, str]]


def export(run: Path, folder: Path, tool: str) -> list[Path]:
    """Write the answered rows of a run for `kvpress` or `lm-eval`; return the files to import.

    Raises:
        UserError: there is no run, nothing of it is answered, or the folder exists.
    """
    read_rows([run])  # says in a line what is wrong with the file
    if folder.exists():
        raise UserError(f"{folder} exists. Give another folder with --output.")
    file = run / RECORDS if run.is_dir() else run
    header, rows = read_cells(file)
    _, metrics = sorts_of_columns(file, header)
    answered = [row for row in rows if not row["error"] and row["targets"]]
    if not answered:
        raise UserError(f"{run} has no answers to export.")
    write = _TOOLS[tool]
    parts = groupby(sorted(answered, key=_part), key=_part)
    return [
        write(folder / f"{number:02}-{hashlib.sha256(repr(part).encode()).hexdigest()[:8]}",
              list(rows), metrics)
        for number, (part, rows) in enumerate(parts)
    ]  # fmt: skip


def _part(row: Mapping[str, str]) -> tuple[str, str, str]:
    return row["suite"], row["backend"], row["model"]


def _write_kvpress(folder: Path, rows: Records, metrics: Sequence[str]) -> Path:  # noqa: ARG001
    """Write `predictions.csv` and `config.yaml`; kvpress stores no scores."""
    import yaml

    suite, backend, model = _part(rows[0])
    folder.mkdir(parents=True)
    names = ("sample_id", "question", "answer", "predicted_answer", "task", "max_new_tokens")
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            cells = {name: row.get(name, "") for name in names}
            cells |= {"answer": repr(_targets(row)), "predicted_answer": row["answer"]}
            writer.writerow(cells)
    config = {"dataset": suite, "model": model, "press_name": backend}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return folder


def _write_lm_eval(folder: Path, rows: Records, metrics: Sequence[str]) -> Path:
    """Write the samples of a task with their scores, and the results file beside them."""
    suite, backend, model = _part(rows[0])
    folder.mkdir(parents=True)
    path = folder / f"samples_task_{_DATE}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            scores = {name: float(row[name]) for name in metrics if row[name]}
            document = {"sample_id": row["sample_id"], "question": row.get("question", "")}
            longest = int(float(row["max_new_tokens"])) if row["max_new_tokens"] else None
            sample = {
                "doc_id": number,
                "doc": {**document, "question_id": row["question_id"]},
                "target": _targets(row),
                "arguments": {"gen_args_0": {"arg_1": {"max_gen_toks": longest}}},
                "resps": [[row["answer"]]],
                "filtered_resps": [row["answer"]],
                "filter": "none",
                "metrics": list(scores),
                **scores,
            }
            file.write(json.dumps(sample) + "\n")
    results: dict[str, Any] = {"model_name": model, "model_source": backend}
    results["gist_bench"] = {"suite": suite, "backend": backend}
    text = json.dumps(results, indent=2) + "\n"
    (folder / f"results_{_DATE}.json").write_text(text, encoding="utf-8")
    return path


def _targets(row: Mapping[str, str]) -> list[str]:
    found: list[str] = json.loads(row["targets"])
    return found


_TOOLS: Mapping[str, Callable[[Path, Records, Sequence[str]], Path]] = {
    "kvpress": _write_kvpress,
    "lm-eval": _write_lm_eval,
}
