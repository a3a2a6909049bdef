"""Metrics of all rows of a run, computed again from answers and targets when its last is written.

No model is needed. A row whose metrics are not those of its answer turns the check of its backend
red, whoever wrote it: a backend that reached into the records, a suite that does not score alike
twice, or a person with an editor.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api import Question, Sample, Suite
from harness.run.plan import Plan
from harness.run.records import cell, each_row
from harness.run.thoughts import split_thought

NAME = "scores of all rows"
_DETAIL = (
    "Metrics in records.csv, computed again at the end of the run from answer, question and targets"
)
_Asked = tuple[Suite, Sample, Question]


def with_scores(
    entries: Sequence[Mapping[str, Any]], plan: Plan, records: Path
) -> list[dict[str, Any]]:
    """Return the checks of a run with one more for each backend that has scores.

    Args:
        entries: as `run.json` has them, each of one backend and its controls, or of an adapter.
        plan: what was run.
        records: its rows, all of them written.
    """
    right, total = _counted(plan, records)
    found = []
    for entry in entries:
        others = [check for check in entry.get("proofs") or () if check["name"] != NAME]
        if entry.get("proofs") and not others:  # of an earlier process: made anew below
            continue
        apart = "adapter" in entry or "not_run" in entry
        mine = [name for name in entry["backends"] if name in total and not apart]
        again = [_check(sum(map(right.pop, mine)), sum(map(total.pop, mine)))] if mine else []
        found.append({**entry, "proofs": [*others, *again]} if mine else dict(entry))
    found += [{"backends": [name], "proofs": [_check(right[name], total[name])]} for name in total]
    return found


def _check(right: int, total: int) -> dict[str, Any]:
    return {
        "name": NAME,
        "measured": f"{right:,} of {total:,} rows",
        "limit": "all",
        "passed": right == total,
        "detail": _DETAIL,
    }


def _counted(plan: Plan, records: Path) -> tuple[Counter[str], Counter[str]]:
    """Return the rows with the metrics of their answers, and all rows, of each backend."""
    asked = dict(_asked(plan))
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    scored = {job.name for job in plan.jobs if job.suite.metrics}
    for row in each_row(records):
        if row["suite"] in scored:
            total[row["backend"]] += 1
            known = asked.get((row["suite"], row["sample_id"], row["question_id"]))
            right[row["backend"]] += known is not None and _is_right(row, *known)
    return right, total


def _asked(plan: Plan) -> Iterator[tuple[tuple[str, str, str], _Asked]]:
    for job in plan.jobs:
        for sample in job.samples if job.suite.metrics else ():
            for question in sample.questions:
                yield (job.name, sample.id, question.id), (job.suite, sample, question)


def _is_right(row: Mapping[str, str], suite: Suite, sample: Sample, question: Question) -> bool:
    stored = {name: row[name] for name in suite.metrics if row[name]}
    if row["error"]:
        return not stored
    if json.loads(row["targets"] or "[]") != list(question.targets):
        return False
    again = suite.score(question, split_thought(row["answer"])[1], sample.context)
    return stored == {name: cell(float(value)) for name, value in again.items()}
