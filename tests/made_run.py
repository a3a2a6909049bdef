"""A small run that has something for every part of a report, written as the runner writes it."""

import json
import random
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

from harness.records import Cell, Records, Row, columns

ARMS = {  # how often each is right, entries kept of 512, seconds to read, seconds per question
    "full": (0.9, 512, 0.10, 0.05),
    "gist": (0.6, 32, 0.21, 0.01),
    "gist,ratio=4": (0.7, 128, 0.14, 0.02),
    "rag": (0.8, 300, 0.305, 0.04),
    "closed_book": (0.1, 0, 0.01, 0.01),
}
SLICES = ("answerable", "depth", "kind", "tokens")
METRICS = ("abstained", "accuracy", "exact_match", "f1", "false_refusal", "hallucinated")
COSTS_ONLY: Mapping[str, Cell] = {"f1": None, "exact_match": None, "evidence_recall": None}
RUN: Mapping[str, object] = {
    "status": "finished",
    "command": "gist-bench run",
    "configuration": {"model": "small", "device": "cpu", "seed": 3, "suites": {}},
    "environment": {"python": "3.12", "processor": "a processor", "threads": 2},
}


def cells_of(arm: str) -> dict[str, Cell]:
    """Return what every row of an arm costs."""
    _, entries, prepare_s, question_s = ARMS[arm]
    return {
        "context_tokens": 512,
        "context_entries": entries,
        "prompt_tokens": 600,
        "new_tokens": 4,
        "max_new_tokens": 16,
        "contexts_held": 1,
        "batch_size": 2,
        "prepare_s": prepare_s,
        "generate_s": 2 * question_s,  # of a batch of two
        "baseline_bytes": 2**30,
        "prepare_peak_bytes": 2**30 + 2**27,
        "generate_peak_bytes": 2**30 + 2**26,
        "held_bytes": 2**20 + entries * 2**14,
        "memory_kind": "cuda",
    }


def score_cells(suite: str, question: int, rng: random.Random, right: float) -> dict[str, Cell]:
    """Return the metrics of an answer."""
    good = float(rng.random() < right)
    if suite != "hallucination":
        return {"exact_match": good, "f1": good}
    if question % 2:
        return {"accuracy": good, "abstained": good, "hallucinated": 1 - good, "answerable": "no"}
    refused = float(not good and rng.random() < 0.5)
    return {"accuracy": good, "false_refusal": refused, "answerable": "yes"}


def rows_of(suite: str, arm: str, contexts: int) -> Iterator[Row]:
    """Yield two rows for each context."""
    for number, question in product(range(contexts), range(2)):
        rng = random.Random(f"{suite}/{arm}/{number}/{question}")
        yield {
            "suite": suite,
            "backend": arm,
            "model": "small",
            "sample_id": f"{suite}-{number}",
            "question_id": f"q{question}",
            "batch_id": str(number),
            "kind": "lookup" if question else "count",
            "tokens": str((512, 1024)[number % 2]) if suite == "passkey" else "",
            "depth": ("0.0", "0.5", "1.0")[number % 3] if suite == "passkey" else "",
            **cells_of(arm),
            **score_cells(suite, question, rng, ARMS[arm][0]),
            "evidence_recall": float(rng.random() < 0.7) if arm == "rag" else None,
            "answer": f"answer of {arm} to {number}.{question}",
            "targets": (f"target {number}.{question}",),
        }


def made_run(
    folder: Path,
    *,
    suites: tuple[str, ...] = ("qa", "passkey", "hallucination"),
    contexts: int = 24,
    changes: Mapping[str, Cell] | None = None,
    run: Mapping[str, object] | None = RUN,
) -> Path:
    """Write a run and return its folder.

    Args:
        folder: is made.
        suites: what it has rows of.
        contexts: of each suite.
        changes: cells that all rows have instead.
        run: what run.json says; None: there is none.
    """
    folder.mkdir(parents=True)
    records = Records(folder / "records.csv", columns(SLICES, METRICS))
    for suite, arm in product(suites, ARMS):
        records.append([{**row, **(changes or {})} for row in rows_of(suite, arm, contexts)])
    records.close()
    if run is not None:
        (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder
