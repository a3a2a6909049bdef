"""The parts that grow with the input: masks, chunks, rows of a run, reports."""

import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from backends.retrieval.chunking import chunk_context
from harness.report.render import render
from harness.run.choose import choose_backends, choose_suites
from harness.run.engine import OneProcess
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.runner import run
from tests.regression.conftest import CheckRatio
from tests.support.fakes import FakeModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from pytest_benchmark.fixture import BenchmarkFixture

SENTENCES = "Ann keeps bees. Her neighbour, a baker, has never liked them very much! Why? "


def segments(tokens: int) -> "torch.Tensor":
    """Return the segments of a packed batch: context, gists and four questions."""
    import torch

    row = torch.arange(tokens) * 10 // tokens  # ten equal parts
    kinds = torch.tensor([0, 1, 1, 1, 1, 2, 3, 4, 5, 6])
    return kinds[row].expand(4, tokens)  # (batch, tokens)


def count_words(texts: "Sequence[str]") -> list[int]:
    """Count tokens as an embedder would, at no cost."""
    return [len(text.split()) for text in texts]


def chunks_of(copies: int) -> "Callable[[], object]":
    """Return the work of cutting a text of that many paragraphs."""
    text = SENTENCES * copies
    return partial(chunk_context, text, chunk_tokens=40, overlap=1, count_tokens=count_words)


def fake_run(folder: Path, contexts: int) -> "Callable[[], Path]":
    """Return the work of a run that asks three questions about each of `contexts` contexts."""
    model, numbers = FakeModel(), itertools.count()
    suites = choose_suites([f"tests.support.fakes:Scored,contexts={contexts}"])
    plan = make_plan(model, suites, choose_backends(["tests.support.fakes:Fake"]), Settings())
    return lambda: run(plan, OneProcess(model), out=folder / str(next(numbers)), command="")


def test_building_a_mask(benchmark: "BenchmarkFixture", check_ratio: CheckRatio) -> None:
    """A packed mask costs so many plain ones of its size; the allocator has its share in both."""
    import torch

    from gist.masks import packed_mask

    packed = segments(1024)

    def causal() -> torch.Tensor:
        square = torch.ones(len(packed), 1024, 1024, dtype=torch.bool)  # (batch, tokens, tokens)
        return square.tril()

    work = partial(packed_mask, packed, see_context=False)
    check_ratio("packed mask / causal mask", work, causal)
    benchmark(work)


def test_chunking(benchmark: "BenchmarkFixture", check_ratio: CheckRatio) -> None:
    """A context four times as long takes four times as long to cut, not sixteen times."""
    check_ratio("chunk 1600 / 400", chunks_of(1600), chunks_of(400))
    benchmark(chunks_of(400))


def test_the_runner_adds_little(
    benchmark: "BenchmarkFixture", check_ratio: CheckRatio, tmp_path: Path
) -> None:
    """Rows cost in proportion to their number: nothing is read or written again for each."""
    small, large = (fake_run(tmp_path / str(size), size) for size in (20, 80))
    check_ratio("run 80 contexts / 20", large, small)
    benchmark.pedantic(small, rounds=3)


def test_each_context_is_prepared_once(tmp_path: Path) -> None:
    """One context is read once and asked in batches, whatever its number of questions."""
    model = FakeModel()
    suites = choose_suites(["tests.support.fakes:Scored,contexts=4,questions=5"])
    plan = make_plan(
        model, suites, choose_backends(["tests.support.fakes:Fake"]), Settings(batch_size=2)
    )
    model.log.clear()
    run(plan, OneProcess(model), out=tmp_path, command="")
    asked = [line for line in model.log if line.startswith("ask")]
    warm_up = 1
    assert model.log.count("prepare") == 4 + warm_up
    assert len(asked) == 4 * 3 + warm_up


def test_the_report(benchmark: "BenchmarkFixture", check_ratio: CheckRatio, tmp_path: Path) -> None:
    """Tables of four times the rows take less than four times the time."""
    small, large = (fake_run(tmp_path, size)() for size in (20, 80))
    check_ratio("report 240 rows / 60", lambda: render([large]), lambda: render([small]))
    benchmark.pedantic(render, ([small],), rounds=3)
