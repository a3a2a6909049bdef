"""p-values, Holm and the detectable difference: as statsmodels has them, true under correlation."""

from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from harness.report.significance import (
    MANY_DIFFERENT,
    MCNEMAR,
    SIGN_FLIP,
    contrast,
    holm,
    sign_flip_p,
)
from harness.report.stats import Floats

CONTEXTS, QUESTIONS = 50, 10
NUMBERS = np.repeat(np.arange(CONTEXTS), QUESTIONS)


def draws(rng: np.random.Generator, runs: int, *, fractions: bool) -> Floats:
    """Return scores of two equal backends, (runs, 2, questions), alike within a context.

    Each backend does well on some contexts and badly on others, not the same ones: the
    questions of a context rise and fall together, and so do their differences.
    """
    rates = rng.beta(0.4, 0.4, size=(runs, 2, CONTEXTS, 1))
    right = (rng.random((runs, 2, CONTEXTS, QUESTIONS)) < rates).astype(np.float64)
    if fractions:  # half of the answers get a part of the score
        right *= np.where(rng.random(right.shape) < 0.5, 1.0, rng.beta(2, 2, size=right.shape))
    return right.reshape(runs, 2, CONTEXTS * QUESTIONS)


def naive_alarms(scores: Floats, rng: np.random.Generator) -> float:
    """Return how often a bootstrap that draws single questions finds a difference."""
    alarms = 0
    for first, second in scores:
        difference = first - second
        picks = rng.integers(len(difference), size=(200, len(difference)))
        low, high = np.quantile(difference[picks].mean(1), (0.025, 0.975))
        alarms += low > 0 or high < 0
    return alarms / len(scores)


@pytest.mark.parametrize("fractions", [False, True], ids=["0/1", "F1"])
def test_equal_backends_are_rarely_told_apart(fractions: bool) -> None:
    """Correlated questions give under 7 % false alarms; drawn one by one they give six times that.

    Both the interval and the p-value are held to a level of 5 %.
    """
    rng = np.random.default_rng(1)
    scores = draws(rng, 250, fractions=fractions)
    found = [contrast(first, second, NUMBERS) for first, second in scores]
    assert {each.test for each in found} == {SIGN_FLIP}
    assert 0.02 < np.mean([each.p < 0.05 for each in found]) < 0.07
    assert 0.02 < np.mean([each.difference.excludes_zero for each in found]) < 0.07
    assert naive_alarms(scores, rng) > 0.3


@pytest.mark.parametrize("fractions", [False, True], ids=["0/1", "F1"])
def test_a_planted_difference_as_large_as_detectable_is_found_as_often(fractions: bool) -> None:
    """What is called detectable is found in about 80 of 100 runs, and twice that nearly always."""
    rng = np.random.default_rng(2)
    scores = draws(rng, 100, fractions=fractions)
    size = float(np.mean([contrast(*pair, NUMBERS).detectable or 0 for pair in scores[:20]]))
    assert 0.1 < size < 0.3
    for planted, low, high in ((size, 0.7, 0.9), (2 * size, 0.99, 1.0)):
        found = [contrast(first + planted, second, NUMBERS).p < 0.05 for first, second in scores]
        assert low <= np.mean(found) <= high


@pytest.mark.parametrize(("wins", "losses"), [(9, 2), (1, 0), (30, 30), (5, 14)])
def test_single_yes_or_no_questions_get_mcnemar(wins: int, losses: int) -> None:
    """Where every context has one question the p-value is that of the exact test."""
    both = 25
    first = np.array([1.0] * both + [1.0] * wins + [0.0] * losses)
    second = np.array([1.0] * both + [0.0] * wins + [1.0] * losses)
    found = contrast(first, second, np.arange(len(first)))
    assert found.test == MCNEMAR
    assert found.p == pytest.approx(mcnemar([[both, wins], [losses, 0]], exact=True).pvalue)


def test_flipping_all_signs_agrees_with_mcnemar() -> None:
    """The two tests are one where both apply: eleven single questions, once scored as F1."""
    first = np.array([1.0] * 9 + [0.0] * 2 + [0.5])
    second = np.array([0.0] * 9 + [1.0] * 2 + [0.5])
    found = contrast(first, second, np.arange(12))
    assert found.test == SIGN_FLIP
    assert found.p == pytest.approx(scipy_stats.binomtest(9, 11).pvalue)


def test_few_contexts_are_flipped_in_every_way() -> None:
    """The p-value of six contexts is the share of the 64 sign patterns that are as extreme."""
    rng = np.random.default_rng(3)
    first, second = rng.random(24), rng.random(24)
    sums = (first - second).reshape(6, 4).sum(1)
    patterns = np.array(list(product((-1, 1), repeat=6)))
    extreme = np.abs(patterns @ sums) >= abs(sums.sum()) - 1e-12
    assert contrast(first, second, np.repeat(np.arange(6), 4)).p == pytest.approx(extreme.mean())


def test_drawn_signs_agree_with_their_normal_limit() -> None:
    """A context more than is drawn changes the p-value by next to nothing."""
    rng = np.random.default_rng(4)
    first, second = rng.random(MANY_DIFFERENT + 1) - 0.02, rng.random(MANY_DIFFERENT + 1)
    numbers = np.arange(MANY_DIFFERENT + 1)
    drawn = contrast(first[:-1], second[:-1], numbers[:-1]).p
    assert 0.02 < drawn < 0.5
    assert contrast(first, second, numbers).p == pytest.approx(drawn, abs=0.03)


def test_detectable_follows_from_errors_clustered_by_context() -> None:
    """It is the clustered standard error of statsmodels times the quantiles of level and power."""
    rng = np.random.default_rng(5)
    counts = rng.integers(1, 8, size=30)
    numbers = np.repeat(np.arange(30), counts)
    first = np.repeat(rng.random(30), counts) * rng.random(len(numbers))
    second = rng.random(len(numbers))
    fit = sm.OLS(first - second, np.ones(len(numbers))).fit(
        cov_type="cluster", cov_kwds={"groups": numbers, "df_correction": True}
    )
    # statsmodels also corrects for the one parameter fitted: (n - 1) / (n - 1) = 1 here.
    quantiles = scipy_stats.t.ppf((0.975, 0.8), 29).sum()
    found = contrast(first, second, numbers).detectable
    assert found == pytest.approx(float(fit.bse[0]) * quantiles)


def test_holm_is_that_of_statsmodels() -> None:
    """Adjusted p-values keep their order and never fall below those before them."""
    for seed in range(20):
        p_values = np.random.default_rng(seed).beta(0.3, 1, size=9)
        expected = multipletests(p_values, method="holm")[1]
        assert holm(list(p_values)) == pytest.approx(list(expected))
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_backends_without_any_difference_have_nothing_to_test() -> None:
    """Equal scores have p = 1, and no spread from which to say what could be seen."""
    ones = np.ones(40)
    for numbers in (np.arange(40), np.repeat(np.arange(10), 4)):
        found = contrast(ones, ones, numbers)
        assert (found.p, found.detectable) == (1.0, None)


def test_the_same_rows_give_the_same_p() -> None:
    """A report can be made again, figure by figure."""
    first, second = draws(np.random.default_rng(6), 1, fractions=True)[0]
    assert contrast(first, second, NUMBERS) == contrast(first, second, NUMBERS)


def test_a_tolerance_is_tested_by_the_signs_of_what_is_left() -> None:
    """Five contexts of one sign are never certain, six are; a shift by the mean leaves nothing."""
    ones = np.ones(6)
    assert sign_flip_p(ones[:5], np.arange(5)) == pytest.approx(2 / 32)
    assert sign_flip_p(ones, np.arange(6)) == pytest.approx(2 / 64)
    assert sign_flip_p(ones - 1, np.arange(6)) == 1
