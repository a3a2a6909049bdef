"""Intervals are right on known cases, honest on degenerate ones, and cover under correlation."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.report.shares import clopper_pearson
from harness.report.significance import contrast
from harness.report.stats import (
    MANY_CONTEXTS,
    Estimate,
    Floats,
    difference_estimate,
    gap_recovered,
    mean_estimate,
)


def correlated(
    rng: np.random.Generator, contexts: int, questions: int, *, share: float = 0.7
) -> Floats:
    """Return 0/1 answers, (contexts, questions), whose rate varies a lot between contexts."""
    rates = rng.beta(share, 1 - share, size=(contexts, 1))
    return (rng.random((contexts, questions)) < rates).astype(np.float64)


def numbers(contexts: int, questions: int) -> np.ndarray:
    """Return the context of each question, flat."""
    return np.repeat(np.arange(contexts), questions)


def width(estimate: Estimate) -> float:
    """Return the width of an interval that must be there."""
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


@pytest.mark.parametrize(("right", "n"), [(0, 7), (1, 1), (8, 10), (50, 50), (333, 1000)])
def test_one_question_per_context_gives_the_exact_interval(right: int, n: int) -> None:
    """0/1 answers to independent questions get Clopper and Pearson's bounds, as scipy has them."""
    exact = scipy_stats.binomtest(right, n).proportion_ci(method="exact")
    assert clopper_pearson(right, n) == pytest.approx((exact.low, exact.high), abs=1e-12)
    if n >= 5:
        found = mean_estimate(np.array([1.0] * right + [0.0] * (n - right)), np.arange(n))
        assert (found.mean, found.n, found.contexts) == (right / n, n, n)
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-12)


@pytest.mark.parametrize(("contexts", "questions"), [(5, 8), (8, 30), (30, 8), (10, 3), (100, 8)])
@pytest.mark.parametrize("first", ["contexts", "questions", "any"])
def test_bounds_rise_with_the_hits(contexts: int, questions: int, first: str) -> None:
    """One more right answer lowers no bound, whichever question it is."""
    n = contexts * questions
    order = np.arange(n)
    if first == "questions":
        order = order.reshape(contexts, questions).T.ravel()
    elif first == "any":
        order = np.random.default_rng(1).permutation(n)
    values, bounds = np.zeros(n), []
    for place in (None, *order):
        if place is not None:
            values[place] = 1
        found = mean_estimate(values, numbers(contexts, questions))
        bounds.append((found.low, found.high))
    assert (np.diff(np.array(bounds, dtype=np.float64), axis=0) >= -1e-12).all()


@pytest.mark.parametrize("values", [[], [1.0, float("nan")] * 5, [float("inf"), 1.0] * 5])
def test_what_nothing_can_be_estimated_from_is_one_clear_error(values: list[float]) -> None:
    """No values, and values that are no numbers."""
    given, contexts = np.array(values), np.arange(len(values))
    for estimate in (
        lambda: mean_estimate(given, contexts),
        lambda: difference_estimate(given, given, contexts),
        lambda: contrast(given, given, contexts),
    ):
        with pytest.raises(ValueError, match=r"no values to estimate|NaN or infinite"):
            estimate()


def test_arrays_of_different_lengths_are_one_clear_error() -> None:
    """Also where numpy would spread a single value over the others."""
    ones, one = np.ones(6), np.ones(1)
    for estimate in (
        lambda: mean_estimate(ones, np.arange(5)),
        lambda: difference_estimate(ones, one, np.arange(6)),
        lambda: contrast(ones, one, np.arange(6)),
        lambda: gap_recovered(ones, one, ones, np.arange(6)),
    ):
        with pytest.raises(ValueError, match=r"arrays of \d and 6 values"):
            estimate()


def test_fractions_of_single_questions_are_resampled_as_scipy_does() -> None:
    """With many contexts the bootstrap agrees with scipy's percentile bootstrap."""
    values = np.random.default_rng(1).beta(2, 1, size=300)
    found = mean_estimate(values, np.arange(300))
    expected = scipy_stats.bootstrap(
        (values,), np.mean, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert found.low == pytest.approx(expected.low, abs=0.004)
    assert found.high == pytest.approx(expected.high, abs=0.004)


def test_copies_of_a_question_add_no_certainty() -> None:
    """Asking each context the same question ten times leaves the interval nearly as it was."""
    values = np.random.default_rng(3).random(40)
    once = mean_estimate(values, np.arange(40))
    tenfold = mean_estimate(np.repeat(values, 10), numbers(40, 10))
    assert tenfold.n == 400
    independent = mean_estimate(np.repeat(values, 10), np.arange(400))
    assert width(tenfold) > 0.85 * width(once) > 2 * width(independent)


def test_context_numbers_and_order_do_not_matter() -> None:
    """Only which questions share a context counts, but for the noise of the draws."""
    rng = np.random.default_rng(4)
    values, contexts = correlated(rng, 30, 5).ravel(), numbers(30, 5)
    order = rng.permutation(150)
    plain = mean_estimate(values, contexts)
    assert mean_estimate(values[order], contexts[order]) == plain
    renamed = mean_estimate(values, (contexts * 7919) % 104729)
    assert renamed.low == pytest.approx(plain.low, abs=0.02)


def test_the_same_rows_give_the_same_interval() -> None:
    """A report can be made again, figure by figure."""
    values = correlated(np.random.default_rng(5), 25, 4).ravel()
    assert mean_estimate(values, numbers(25, 4)) == mean_estimate(values, numbers(25, 4))


def test_many_contexts_get_the_limit_of_the_bootstrap() -> None:
    """One context more than the bootstrap takes changes the interval by next to nothing."""
    values = correlated(np.random.default_rng(6), MANY_CONTEXTS + 1, 4)
    drawn = mean_estimate(values[:-1].ravel(), numbers(MANY_CONTEXTS, 4))
    limit = mean_estimate(values.ravel(), numbers(MANY_CONTEXTS + 1, 4))
    assert limit.low == pytest.approx(drawn.low, abs=0.003)
    assert limit.high == pytest.approx(drawn.high, abs=0.003)


@pytest.mark.parametrize("contexts", [8, 50])
def test_intervals_cover_the_truth_when_questions_are_correlated(contexts: int) -> None:
    """About 95 of 100 intervals hold the true rate; questions taken as independent: far fewer."""
    rng = np.random.default_rng(7)
    covered = naive = 0
    for _ in range(400):
        values = correlated(rng, contexts, 10).ravel()
        found = mean_estimate(values, numbers(contexts, 10))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.7 <= found.high
        low, high = clopper_pearson(values.sum(), values.size)
        naive += low <= 0.7 <= high
    assert covered / 400 > 0.91
    assert naive / 400 < 0.75


@pytest.mark.parametrize("fractions", [False, True], ids=["0/1", "F1"])
def test_two_equal_backends_rarely_differ(fractions: bool) -> None:
    """With 50 contexts of 10 correlated questions, under 7 % false alarms at a level of 5 %."""
    rng = np.random.default_rng(8)
    alarms = 0
    for _ in range(600):
        first, second = (correlated(rng, 50, 10) for _ in range(2))
        if fractions:
            first, second = (backend * rng.random(backend.shape) for backend in (first, second))
        found = difference_estimate(first.ravel(), second.ravel(), numbers(50, 10))
        alarms += found.excludes_zero
    assert 0.02 < alarms / 600 < 0.07


def test_a_planted_difference_is_found() -> None:
    """If a fifth of the right answers is spoilt, nearly every interval excludes 0."""
    rng = np.random.default_rng(9)
    found = 0
    for _ in range(100):
        better = correlated(rng, 50, 10)
        worse = better * (rng.random(better.shape) > 0.2)
        estimate = difference_estimate(better.ravel(), worse.ravel(), numbers(50, 10))
        assert estimate.mean > 0
        found += estimate.excludes_zero
    assert found > 95


def test_pairing_narrows_the_difference() -> None:
    """Backends that fail on the same contexts are compared more exactly than their means."""
    rng = np.random.default_rng(10)
    first = correlated(rng, 40, 10)
    second = first * (rng.random(first.shape) > 0.1)
    contexts = numbers(40, 10)
    paired = difference_estimate(first.ravel(), second.ravel(), contexts)
    assert width(paired) < 0.5 * width(mean_estimate(first.ravel(), contexts))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_contexts_that_agree_leave_room_for_others(value: float) -> None:
    """All right or all wrong is less certain than as many independent questions."""
    found = mean_estimate(np.full(80, value), numbers(10, 8))
    low, high = clopper_pearson(80 * value, 80)
    assert found.low is not None
    assert found.high is not None
    assert (found.low < low - 0.01 and found.high == 1) or (
        found.high > high + 0.01 and found.low == 0
    )


def test_backends_that_agree_everywhere_may_still_differ() -> None:
    """No difference in 20 contexts has an interval around 0, narrower with more contexts."""
    ones = np.ones(100)
    few = difference_estimate(ones, ones, numbers(20, 5))
    many = difference_estimate(ones, ones, numbers(50, 2))
    assert few.mean == 0
    assert not few.excludes_zero
    assert few.high == pytest.approx(clopper_pearson(0, 20)[1])
    assert 0 < width(many) < width(few)


def test_a_difference_of_1_everywhere_is_told_from_0() -> None:
    """One backend always right, the other never: the interval ends at 1 and excludes 0."""
    found = difference_estimate(np.ones(40), np.zeros(40), numbers(20, 2))
    assert found.high == pytest.approx(1)
    assert found.excludes_zero


def test_few_contexts_have_no_interval() -> None:
    """Resampling four contexts cannot cover 95 %, so nothing is claimed."""
    found = mean_estimate(np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0]), numbers(4, 2))
    assert (found.low, found.high) == (None, None)
    assert not found.excludes_zero
    single = mean_estimate(np.ones(4), np.arange(4))
    alike = difference_estimate(np.ones(4), np.zeros(4), np.arange(4))
    assert (single.low, single.high, alike.low, alike.high) == (None,) * 4


def test_an_interval_of_a_share_stays_between_0_and_1() -> None:
    """No metric between 0 and 1 gets a bound outside, and its mean lies inside."""
    rng = np.random.default_rng(11)
    for _ in range(200):
        contexts, questions = int(rng.integers(5, 30)), int(rng.integers(1, 6))
        values = correlated(rng, contexts, questions, share=float(rng.uniform(0.05, 0.95)))
        found = mean_estimate(values.ravel(), numbers(contexts, questions))
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.mean <= found.high <= 1


def test_gap_recovered_is_a_ratio_of_means() -> None:
    """A backend half way between floor and ceiling recovers half, with an interval around it."""
    rng = np.random.default_rng(12)
    contexts = numbers(30, 10)
    ceiling, floor = np.ones(300), np.zeros(300)
    backend = (rng.random(300) < 0.5).astype(np.float64)
    found = gap_recovered(backend, floor, ceiling, contexts)
    assert found is not None
    assert found.mean == pytest.approx(backend.mean())
    assert 0.05 < width(found) < 0.3


def test_the_ceiling_recovers_the_whole_gap_but_not_for_certain() -> None:
    """A backend equal to full context recovers 1, and the interval still has a width."""
    rng = np.random.default_rng(13)
    ceiling, floor = correlated(rng, 30, 5, share=0.9).ravel(), np.zeros(150)
    found = gap_recovered(ceiling, floor, ceiling, numbers(30, 5))
    assert found is not None
    assert found.mean == 1
    assert width(found) > 0.05


def test_no_gap_gives_no_number() -> None:
    """Where closed book does as well as full context there is nothing to recover."""
    rng = np.random.default_rng(14)
    backend, floor, ceiling = (correlated(rng, 30, 5).ravel() for _ in range(3))
    assert gap_recovered(backend, floor, ceiling, numbers(30, 5)) is None
    assert gap_recovered(backend, ceiling + 1, ceiling, numbers(30, 5)) is None
