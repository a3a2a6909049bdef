"""How often 95 % intervals of a mean hold the true mean, and how wide they are: a simulation.

    python -m tests.regression.coverage [REPEATS] > table.md

For each true mean, number of contexts and of questions in each, answers are drawn many times. The
questions of a context have a latent correlation of 0.5. F1 scores are drawn from a beta
distribution with most of its mass at 0 and 1, and from a mixture of 0, 0.5 and 1; the worse of the
two is shown.
`width`: the mean width over that of an exact interval at the effective number of questions, which
are so many independent yes-or-no questions that their mean varies as much.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats as scipy_stats
from scipy.special import betaincinv, ndtr

from harness.report.shares import clopper_pearson
from harness.report.stats import Floats, mean_estimate

MEANS = (0.02, 0.1, 0.5, 0.9, 0.98)
CONTEXTS = (5, 10, 30, 100)
QUESTIONS = (1, 8)
KINDS = {"0/1": ("zero_one",), "F1": ("beta", "mixture")}
LATENT = 0.5  # correlation of the questions of a context
MIN_COVERAGE, MAX_WIDTH = 0.93, 1.25


@dataclass(frozen=True, slots=True)
class Cell:
    """A design of an experiment."""

    kind: str
    mean: float
    contexts: int
    questions: int


def draw(rng: np.random.Generator, cell: Cell, size: int) -> Floats:
    """Return scores, (size, contexts, questions)."""
    shape = size, cell.contexts, cell.questions
    latent = rng.standard_normal(shape)
    if cell.questions > 1:
        shared = rng.standard_normal((*shape[:2], 1))
        latent = np.sqrt(LATENT) * shared + np.sqrt(1 - LATENT) * latent
    return _scores(ndtr(latent), cell)


def _scores(uniform: Floats, cell: Cell) -> Floats:
    mean = cell.mean
    if cell.kind == "zero_one":
        return (uniform > 1 - mean).astype(np.float64)
    if cell.kind == "beta":
        inside = np.clip(uniform, 1e-12, 1 - 1e-12)
        return np.asarray(betaincinv(mean, 1 - mean, inside), dtype=np.float64)
    if mean > 0.5:
        return 1 - _scores(1 - uniform, Cell("mixture", 1 - mean, 0, 0))
    whole, half = 0.7 * mean, 0.6 * mean
    return np.where(uniform > 1 - whole, 1.0, np.where(uniform > 1 - whole - half, 0.5, 0.0))


def measure(cell: Cell, repeats: int) -> tuple[float, float]:
    """Return the coverage, and the mean width over the exact one."""
    rng = np.random.default_rng(20261126)
    contexts = np.repeat(np.arange(cell.contexts), cell.questions)
    found = [mean_estimate(scores.ravel(), contexts) for scores in draw(rng, cell, repeats)]
    lows, highs = (np.array(ends, dtype=np.float64) for ends in zip(
        *((one.low, one.high) for one in found), strict=True
    ))  # fmt: skip
    covered = (lows <= cell.mean + 1e-9) & (cell.mean - 1e-9 <= highs)
    many = draw(rng, Cell(cell.kind, cell.mean, 50_000, cell.questions), 1)
    variance = float(many.mean(axis=2).var()) / cell.contexts
    effective = cell.mean * (1 - cell.mean) / variance
    return float(covered.mean()), float((highs - lows).mean()) / _exact_width(cell.mean, effective)


def _exact_width(mean: float, effective: float) -> float:
    n = max(1, round(effective))
    hits = np.arange(n + 1)
    widths = [high - low for low, high in (clopper_pearson(float(k), n) for k in hits)]
    return float(np.dot(scipy_stats.binom.pmf(hits, n, mean), widths))


def table(repeats: int) -> Iterator[str]:
    """Yield the lines of a Markdown table; `!` marks a figure beyond its limit."""
    columns = list(product(KINDS, QUESTIONS))
    yield "| mean | contexts | " + " | ".join(f"{k}, {q} each" for k, q in columns) + " |"
    yield "|---" * (2 + len(columns)) + "|"
    for mean, contexts in product(MEANS, CONTEXTS):
        cells = []
        for kind, questions in columns:
            figures = [measure(Cell(k, mean, contexts, questions), repeats) for k in KINDS[kind]]
            coverage, width = min(c for c, _ in figures), max(w for _, w in figures)
            mark = "" if coverage >= MIN_COVERAGE and width <= MAX_WIDTH else " !"
            cells.append(f"{coverage:.3f}, {width:.2f}{mark}")
        yield f"| {mean:g} | {contexts} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print("\n".join(table(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)))
