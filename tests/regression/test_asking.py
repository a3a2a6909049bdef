"""Reading a context and asking it: how many tokens the model computes, and what that saves."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from backends.closed_book import ClosedBook
from backends.full import Full
from backends.gist import Gist
from backends.rag import Rag
from harness.api import Backend, PreparedContext
from tests.regression.conftest import CheckRatio, counted

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from gist.models.model import LanguageModel

CONTEXT = "Ann keeps bees in a valley far away from here. " * 42  # one token per character
QUESTION = "What does Ann keep?"
GISTS = 32
NEW_TOKENS = 8


@pytest.fixture
def full(bench_model: "LanguageModel") -> Full:
    """The whole context in the cache."""
    return Full(bench_model)


@pytest.fixture
def gist(bench_model: "LanguageModel") -> Iterator[Gist]:
    """An untrained adapter: its answers mean nothing, its costs are right."""
    backend = Gist(bench_model, tokens=GISTS, untrained=True)
    yield backend
    backend.close()


def fed_by_question(lm: "LanguageModel") -> int:
    """Return the tokens that one question adds to what was read before."""
    return len([*lm.prompt.between, *lm.tokenizer.encode(QUESTION), *lm.prompt.after])


def test_preparing_full_context_is_one_pass_over_it(
    benchmark: "BenchmarkFixture", bench_model: "LanguageModel", full: Full
) -> None:
    """Every token of prompt and context is computed once, in one forward pass."""
    tokens = len(bench_model.prompt.before) + len(CONTEXT)
    with counted(bench_model) as forwards:
        full.prepare(CONTEXT)
    assert forwards.shapes == [(1, tokens)]
    benchmark(full.prepare, CONTEXT)


def test_compressing_is_one_pass_over_context_and_gists(
    benchmark: "BenchmarkFixture", bench_model: "LanguageModel", gist: Gist
) -> None:
    """Gists cost their own tokens beside those of the context, and nothing is read twice."""
    tokens = len(bench_model.prompt.before) + len(CONTEXT) + GISTS
    with counted(bench_model) as forwards:
        gist.prepare(CONTEXT)
    assert forwards.shapes == [(1, tokens)]
    benchmark(gist.prepare, CONTEXT)


@pytest.mark.parametrize("name", ["full", "gist", "closed_book"])
def test_asking_computes_the_question_alone(
    benchmark: "BenchmarkFixture", request: pytest.FixtureRequest, name: str
) -> None:
    """A question costs its own tokens and one pass per new token, whatever the context's size."""
    lm: LanguageModel = request.getfixturevalue("bench_model")
    backend: Backend = ClosedBook(lm) if name == "closed_book" else request.getfixturevalue(name)
    state = backend.prepare(CONTEXT)

    def ask() -> None:
        state.generate([QUESTION], max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS)

    with counted(lm) as forwards:
        ask()
    assert forwards.shapes == [(1, fed_by_question(lm)), *[(1, 1)] * (NEW_TOKENS - 1)]
    benchmark(ask)


def test_asking_rag_computes_question_and_passages(
    benchmark: "BenchmarkFixture", bench_model: "LanguageModel"
) -> None:
    """What rag reads for a question is its passages: fewer tokens than the context, each time."""
    backend = Rag(bench_model, embedder="bm25", chunk_tokens=32, top_k=2)
    state = backend.prepare(CONTEXT)

    def ask() -> int:
        (answer,) = state.generate([QUESTION], max_new_tokens=1)
        return answer.context_entries

    with counted(bench_model) as forwards:
        passages = ask()
    assert forwards.tokens == passages + fed_by_question(bench_model)
    assert 0 < passages < len(CONTEXT) / 2
    benchmark(ask)


def test_a_batch_is_one_pass_per_new_token(bench_model: "LanguageModel", full: Full) -> None:
    """Questions of one batch share their passes, and the context is not computed for any."""
    state = full.prepare(CONTEXT)
    with counted(bench_model) as forwards:
        state.generate([QUESTION] * 4, max_new_tokens=3, min_new_tokens=3)
    assert forwards.shapes == [(4, fed_by_question(bench_model)), (4, 1), (4, 1)]


def test_compressing_takes_about_as_long_as_reading(
    check_ratio: CheckRatio, full: Full, gist: Gist
) -> None:
    """Gist tokens add little to one pass over the context; the adapter is on for both."""
    check_ratio("compress / read", lambda: gist.prepare(CONTEXT), lambda: full.prepare(CONTEXT))


def test_asking_gists_is_not_slower_than_asking_the_context(
    check_ratio: CheckRatio, full: Full
) -> None:
    """Fewer entries to attend to never cost time; the adapter is off for both."""
    few, many = full.prepare(CONTEXT[:GISTS]), full.prepare(CONTEXT)

    def ask(state: PreparedContext) -> None:
        state.generate([QUESTION], max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS)

    check_ratio("ask few entries / ask many", lambda: ask(few), lambda: ask(many))
