"""The suites that show costs: sizes, order of the sweep, and what is asked for."""

from typing import Any

import pytest

from benchmarks.throughput import Throughput
from benchmarks.vram import Vram
from harness.errors import UserError
from tests.support.fake_tokenizers import WordTokenizer


def test_memory_sweep_rises_for_each_number_of_contexts() -> None:
    """The runner may stop at the first size that does not fit: later ones are larger."""
    suite = Vram(tokens=(300, 100, 200), contexts=(4, 1))
    sweep = [
        (sample.contexts_held, int(sample.slices["tokens"]))
        for sample in suite.samples(WordTokenizer(), seed=0)
    ]
    assert sweep == [(1, 100), (1, 200), (1, 300), (4, 100), (4, 200), (4, 300)]


@pytest.mark.parametrize("suite", [Vram(), Throughput()], ids=["vram", "throughput"])
def test_contexts_have_the_size_that_is_measured(suite: Vram | Throughput) -> None:
    """A context is as long as its slice says, but for less than a sentence."""
    tokenizer = WordTokenizer()
    for sample in suite.samples(tokenizer, seed=0):
        size = len(tokenizer.encode(sample.context))
        assert int(sample.slices["tokens"]) - 12 < size <= int(sample.slices["tokens"])


@pytest.mark.parametrize("suite", [Vram(), Throughput()], ids=["vram", "throughput"])
def test_every_backend_writes_the_same_number_of_tokens(suite: Vram | Throughput) -> None:
    """Costs are compared at equal work: no answer may end early."""
    for sample in suite.samples(WordTokenizer(), seed=0):
        assert sample.min_new_tokens == sample.max_new_tokens > 0


def test_each_context_is_asked_for_one_token_and_for_many() -> None:
    """From the two requests on one text the decode rate follows."""
    suite = Throughput(tokens=(100, 200), new_tokens=8, repeats=2)
    samples = list(suite.samples(WordTokenizer(), seed=0))
    asked: dict[str, list[int]] = {}
    for sample in samples:
        asked.setdefault(sample.context, []).append(sample.max_new_tokens)
    assert list(asked.values()) == [[1, 8]] * 4
    assert len(samples) == 8


@pytest.mark.parametrize(
    ("suite", "options", "message"),
    [
        (Vram, {"tokens": ()}, "tokens must be"),
        (Vram, {"contexts": (0,)}, "contexts must be"),
        (Throughput, {"tokens": (0,)}, "tokens must be"),
        (Throughput, {"new_tokens": 1}, "new_tokens=1 must be at least 2"),
        (Throughput, {"repeats": 0}, "repeats=0 must be at least 1"),
    ],
)
def test_sweeps_without_a_step_are_refused(suite: Any, options: Any, message: str) -> None:
    """What cannot be measured is named when the suite is made."""
    with pytest.raises(ValueError, match=message):
        suite(**options)


def test_size_below_one_sentence_is_refused() -> None:
    """An empty context would measure nothing."""
    with pytest.raises(UserError, match="tokens=2 is too few for one sentence"):
        list(Vram(tokens=(2,)).samples(WordTokenizer(), seed=0))
