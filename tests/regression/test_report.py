"""Commands on large runs: within seconds, and in memory that hardly grows with the rows."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness.run.records import Cell, Row
from tests.support.rows import row, write_run

ROWS = 100_000
BACKENDS = {"full": 0.8, "gist": 0.6, "rag": 0.7, "closed_book": 0.1}  # how often each is right
SIZES, DEPTHS = (512, 1024, 2048, 4096), ("0", "0.25", "0.5", "0.75", "1")
LIMIT_S, LIMIT_BYTES = 10, 10**9
TIMES = 10
BUSY = 3  # how much longer a second of work takes on a machine that others use as well

# Seconds of work, not of waiting: a shared machine must not decide. The peak is that of /proc:
# ru_maxrss still holds what the parent took before it started this program.
MEASURED = """
import json, resource, sys
from harness.cli import main
try:
    main(sys.argv[1:])
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    s = used.ru_utime + used.ru_stime
    (kib,) = [int(line.split()[1]) for line in open("/proc/self/status") if "VmHWM" in line]
    print(json.dumps({"s": s, "bytes": 1024 * kib}), file=sys.stderr)
"""


def rows_of(suite: str, contexts: int, questions: int, seed: str) -> Iterator[Row]:
    """Yield the rows of a suite, backend by backend and context by context."""
    for (backend, right), number in product(BACKENDS.items(), range(contexts)):
        rng = random.Random(f"{suite}/{backend}/{number}{seed}")
        size, depth = SIZES[number % 4], DEPTHS[number // 4 % 5]
        cells: dict[str, Cell] = {
            "suite": suite,
            "model": "large",
            "batch_size": questions,
            "kind": "lookup" if suite == "qa" else None,
            "tokens": str(size) if suite == "passkey" else None,
            "depth": depth if suite == "passkey" else None,
            "context_tokens": size,
            "context_entries": size // 16 if backend == "gist" else size,
            "prepare_s": size * 1e-5,
            "generate_s": 0.01,
            "held_bytes": size * 1000,
            "baseline_bytes": 10**9,
            "prepare_peak_bytes": 2 * 10**9,
            "generate_peak_bytes": 2 * 10**9,
            "memory_kind": "cuda",
            "targets": ("word1", "word2"),
            "evidence": ("a passage " * 40,) if backend == "rag" else (),
        }
        for question in range(questions):
            score = float(rng.random() < right)
            recall = float(rng.random() < 0.8) if backend == "rag" else None
            answer = " ".join(f"word{rng.randrange(999)}" for _ in range(20))
            own = {"f1": score, "exact_match": score, "evidence_recall": recall, "answer": answer}
            yield row(backend, number, question, **cells, **own)


def large_run(folder: Path, seed: str = "") -> Path:
    """Write a run of so many rows, half of them with one question per context.

    Those with another `seed` have other answers to the same questions.
    """
    half = ROWS // 2 // len(BACKENDS)
    parts = (("passkey", 1), ("qa", 8))
    return write_run(folder, (row for s, n in parts for row in rows_of(s, half // n, n, seed)))


def grown(run: Path, folder: Path, times: int) -> Path:
    """Write a run of so many times the contexts of another."""
    folder.mkdir()
    header, _, rows = (run / "records.csv").read_text(encoding="utf-8").partition("\n")
    with (folder / "records.csv").open("w", encoding="utf-8") as file:
        file.write(f"{header}\n")
        for copy in range(times):
            file.write(rows.replace(",large,s", f",large,s{copy}-"))
    return folder


def used_by(*words: object) -> dict[str, float]:
    """Run a command in a process of its own, and return what it used."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
    )
    used: dict[str, float] = json.loads(done.stderr.splitlines()[-1])
    return used


def test_a_hundred_thousand_rows(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Tables and the page take ten seconds of work and a gigabyte at most."""
    run, page = large_run(tmp_path / "run"), tmp_path / "report.html"
    used = benchmark.pedantic(used_by, ("report", run, "--html", page), rounds=1)
    assert used["bytes"] < LIMIT_BYTES
    assert used["s"] < LIMIT_S * BUSY
    assert page.stat().st_size < 8 * 2**20
    assert "of 12,500 questions" in page.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "times"),
    [
        (("report", "RUN"), TIMES),
        (("export", "RUN", "--to", "lm-eval", "-o", "NEW"), TIMES),
        (("rescore", "RUN", "-o", "NEW"), 5),  # scoring takes 0.25 ms a row
        (("compare", "RUN", "OTHER", "--fail-on", "<-0.02"), TIMES),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_memory_does_not_grow_with_the_rows(
    benchmark: BenchmarkFixture, tmp_path: Path, words: tuple[str, ...], times: int
) -> None:
    """So many times the rows take as many times the work, and 100 bytes a row at most.

    Other work on the machine makes work last longer, never shorter: the fastest of up to three
    rounds counts, of few rows and of many.
    """
    small = {
        name: large_run(tmp_path / name, seed)
        for name, seed in (("RUN", ""), ("OTHER", " again"))
        if name in words
    }
    large = {name: grown(run, tmp_path / f"grown-{name}", times) for name, run in small.items()}

    def used_on(runs: dict[str, Path]) -> dict[str, float]:
        given: dict[str, object] = {**runs, "NEW": tmp_path / f"new-{next(numbers)}"}
        return used_by(*(given.get(word, word) for word in words))

    numbers = count()
    first = used_on(small)
    found = benchmark.pedantic(used_on, (large,), rounds=1)
    assert found["bytes"] - first["bytes"] < 100 * (times - 1) * ROWS
    few, many = [first["s"]], [found["s"]]
    while min(many) >= 1.05 * times * min(few) and len(many) < 3:
        few.append(used_on(small)["s"])
        many.append(used_on(large)["s"])
    assert min(many) < 1.05 * times * min(few)
