"""A small run that has something for every part of a report."""

import random
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

from harness.run.records import Cell, Row
from tests.support.rows import row, write_run

BACKENDS = {  # how often each is right, cached tokens of 512, seconds to read, seconds per question
    "full": (0.9, 512, 0.10, 0.05),
    "gist": (0.6, 32, 0.21, 0.01),
    "gist,ratio=4": (0.7, 128, 0.14, 0.02),
    "rag": (0.8, 300, 0.305, 0.04),
    "closed_book": (0.1, 0, 0.01, 0.01),
}
COSTS_ONLY: Mapping[str, Cell] = {"f1": None, "exact_match": None, "evidence_recall": None}
RUN: Mapping[str, object] = {
    "status": "finished",
    "command": "gist-bench run",
    "configuration": {"model": "small", "device": "cpu", "seed": 3, "suites": {}},
    "environment": {"python": "3.12", "processor": "a processor", "threads": 2},
}


def cells_of(backend: str) -> dict[str, Cell]:
    """Return what every row of a backend costs."""
    _, entries, prepare_s, question_s = BACKENDS[backend]
    return {
        "context_tokens": 512,
        "context_entries": entries,
        "prompt_tokens": 600,
        "new_tokens": 4,
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


def rows_of(suite: str, backend: str, contexts: int) -> Iterator[Row]:
    """Yield two rows for each context."""
    for number, question in product(range(contexts), range(2)):
        rng = random.Random(f"{suite}/{backend}/{number}/{question}")
        scores = score_cells(suite, question, rng, BACKENDS[backend][0])
        evidence = float(rng.random() < 0.7)
        cells: dict[str, Cell] = {
            "suite": suite,
            "sample_id": f"{suite}-{number}",
            "batch_id": str(number),
            "kind": "lookup" if question else "count",
            "tokens": str((512, 1024)[number % 2]) if suite == "passkey" else None,
            "depth": ("0.0", "0.5", "1.0")[number % 3] if suite == "passkey" else None,
            **cells_of(backend),
            **scores,
            "evidence_recall": evidence if backend == "rag" else None,
            "answer": f"answer of {backend} to {number}.{question}",
            "targets": (f"target {number}.{question}",),
        }
        yield row(backend, number, question, **cells)


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
    rows = (
        {**row, **(changes or {})}
        for suite, backend in product(suites, BACKENDS)
        for row in rows_of(suite, backend, contexts)
    )
    return write_run(folder, rows, run)
