"""What every installed suite must keep to; a new one adds no test code."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from harness.api import ABSTENTION, Question, Sample, Suite
from harness.run import plugins
from harness.run.spec import Spec, build, options_of
from tests.support.fake_tokenizers import WordTokenizer

NAMES = plugins.names(plugins.SUITES)
MANY = 60  # samples, where a test looks at what occurs in them
GARBAGE = "qwxz"


def suite_class(name: str) -> Any:
    """Return the class behind a suite's name."""
    return plugins.load(plugins.SUITES, name)


def made(name: str, **options: str) -> Suite:
    """Build a suite as the command line does."""
    suite: Suite = build(suite_class(name), Spec(name, options))
    return suite


def drawn(name: str, count: int, *, seed: int = 0, **options: str) -> list[Sample]:
    """Return the first samples of a suite."""
    return list(islice(made(name, **options).samples(WordTokenizer(), seed), count))


def asked(samples: list[Sample]) -> Iterator[tuple[Sample, Question]]:
    """Yield every question with its sample."""
    return ((sample, question) for sample in samples for question in sample.questions)


def has_option(name: str, option: str) -> bool:
    """Say whether a suite has an option."""
    return any(known.name == option for known in options_of(suite_class(name)))


SCORED = [name for name in NAMES if suite_class(name).metrics]
SPLIT = [name for name in NAMES if has_option(name, "split")]


def test_built_in_suites_are_installed() -> None:
    """The five suites come in by entry point."""
    assert {"passkey", "qa", "hallucination", "vram", "throughput"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique(name: str) -> None:
    """No two samples share an id, and no two questions of a sample."""
    samples = drawn(name, MANY)
    assert len({sample.id for sample in samples}) == len(samples) > 0
    for sample in samples:
        assert len({question.id for question in sample.questions}) == len(sample.questions) > 0


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_the_samples(name: str) -> None:
    """The same seed gives the same samples, another seed other contexts."""
    assert drawn(name, 6) == drawn(name, 6)
    contexts = {sample.context for sample in drawn(name, 6)}
    assert contexts.isdisjoint(sample.context for sample in drawn(name, 6, seed=1))


@pytest.mark.parametrize("name", NAMES)
def test_samples_do_not_depend_on_what_was_drawn_before(name: str) -> None:
    """Two streams of one suite that are drawn in turns give what each gives alone."""
    suite, tokenizer = made(name), WordTokenizer()
    pairs = zip(suite.samples(tokenizer, 0), suite.samples(tokenizer, 1), strict=False)
    turns = list(islice(pairs, 6))
    assert [first for first, _ in turns] == drawn(name, 6)
    assert [second for _, second in turns] == drawn(name, 6, seed=1)


@pytest.mark.parametrize("name", NAMES)
def test_support_stands_in_the_context(name: str) -> None:
    """The sentences that support an answer occur in the context, word for word."""
    for sample, question in asked(drawn(name, MANY)):
        assert all(sentence in sample.context for sentence in question.support)


@pytest.mark.parametrize("name", NAMES)
def test_slices_are_the_declared_ones(name: str) -> None:
    """Samples and questions fill exactly the columns that the suite names, with text."""
    for sample, question in asked(drawn(name, MANY)):
        assert not sample.slices.keys() & question.slices.keys()
        filled = {**sample.slices, **question.slices}
        assert set(filled) == set(suite_class(name).slice_names)
        assert all(isinstance(value, str) and value for value in filled.values())


@pytest.mark.parametrize("name", SCORED)
def test_looked_up_targets_stand_in_the_context(name: str) -> None:
    """A question that is answered from one place has its answer in the context."""
    for sample, question in asked(drawn(name, MANY)):
        if question.support:
            assert any(target in sample.context for target in question.targets)


@pytest.mark.parametrize("name", SCORED)
def test_right_answer_scores_one_and_garbage_zero(name: str) -> None:
    """The headline metric is 1 for a target (or an abstention, without one), 0 for nonsense."""
    suite = made(name)
    headline = suite.metrics[0]
    for sample, question in asked(drawn(name, 12)):
        for right in question.targets or (ABSTENTION,):
            assert suite.score(question, right, sample.context)[headline] == 1
        assert suite.score(question, GARBAGE, sample.context)[headline] == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer", ["", GARBAGE, ABSTENTION, "In 1999, Zoë won!\n", "a" * 10_000])
def test_scores_are_declared_shares(name: str, answer: str) -> None:
    """Any text gets metrics that the suite names, each between 0 and 1."""
    suite = made(name)
    for sample, question in asked(drawn(name, 3)):
        scores = suite.score(question, answer, sample.context)
        assert set(scores) <= set(suite.metrics)
        assert all(isinstance(value, float) and 0 <= value <= 1 for value in scores.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_documented(name: str) -> None:
    """The docstring of the suite says what each option does."""
    described = suite_class(name).__doc__ or ""
    for option in options_of(suite_class(name)):
        assert re.search(rf"^ +{option.name}: \S", described, re.MULTILINE), option.name


def test_splits_are_what_generators_have() -> None:
    """The suites that write their own data to be learnt from have a training split."""
    assert {"passkey", "qa", "hallucination"} <= set(SPLIT)


@pytest.mark.parametrize("name", SPLIT)
def test_splits_share_no_sentence_value_name_or_key(name: str) -> None:
    """Nothing that is drawn for training occurs in the test split."""
    train, test = drawn(name, MANY, split="train"), drawn(name, MANY, split="test")
    for found in (sentences, values, numbers, keys, names):
        in_train, in_test = found(train), found(test)
        assert bool(in_train) == bool(in_test), found.__name__
        assert in_train.isdisjoint(in_test), found.__name__
    assert {sample.context for sample in train}.isdisjoint(sample.context for sample in test)


@pytest.mark.parametrize("name", SPLIT)
def test_held_out_templates_are_only_tested(name: str) -> None:
    """Training never meets a held-out template; the test split does, in a minority."""
    templates = {
        split: [
            {**sample.slices, **question.slices}["template"]
            for sample, question in asked(drawn(name, MANY, split=split))
        ]
        for split in ("train", "test")
    }
    assert set(templates["train"]) == {"seen"}
    assert 0 < templates["test"].count("unseen") < len(templates["test"]) / 2


def sentences(samples: list[Sample]) -> set[str]:
    """Return the whole sentences of the contexts, but for those that hold no drawn word."""
    found = {s for sample in samples for s in re.split(r"(?<=[.!?]) ", sample.context)}
    return found - {"Remember it."}


def values(samples: list[Sample]) -> set[str]:
    """Return the answers that stand in the context; counts and topics are common to all."""
    return {target for _, q in asked(samples) if q.support for target in q.targets}


def numbers(samples: list[Sample]) -> set[str]:
    """Return the numbers of the contexts."""
    return {number for sample in samples for number in re.findall(r"\d+", sample.context)}


def keys(samples: list[Sample]) -> set[str]:
    """Return the words that numbers are tied to."""
    return {key for sample in samples for key in re.findall(r"[a-z]+-[a-z]+", sample.context)}


def names(samples: list[Sample]) -> set[str]:
    """Return the capitalised words that do not start a sentence."""
    return {
        name
        for sample in samples
        for name in re.findall(r"(?<=[a-z\d,:] )[A-Z][a-z]+", sample.context)
    }
