"""Agreement and correlation: hand-computed values, and intervals by patient."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from models.comparison.agreement import (
    Clusters,
    Weights,
    correlation,
    estimate,
    kappa,
    mean_shift,
    rank_correlation,
)

FIRST = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
SECOND = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
ONE = np.ones((1, 50))


def of_both(weights: Weights) -> np.ndarray:
    """Return kappa of the two codings above."""
    return kappa(FIRST, SECOND, weights)


def test_kappa_is_the_agreement_beyond_chance() -> None:
    """35 of 50 agree; by chance 25 would: (0.7 - 0.5) / (1 - 0.5), computed by hand."""
    assert kappa(FIRST, SECOND, ONE)[0] == pytest.approx(0.4)
    assert kappa(FIRST, FIRST, ONE)[0] == pytest.approx(1.0)


def test_kappa_of_one_label_is_undefined() -> None:
    """Both give every image the same label: agreement by chance is certain."""
    assert np.isnan(kappa(np.zeros(50, int), np.zeros(50, int), ONE)[0])
    assert estimate(lambda weights: kappa(FIRST * 0, FIRST * 0, weights), Clusters.of([None] * 50)).value is None


def test_weights_count_images_several_times() -> None:
    """A round that draws an image twice has the figure of a list in which it stands twice."""
    weights = np.ones(50)
    weights[3] = 3
    weights[44] = 0
    times = weights.astype(int)
    expected = kappa(np.repeat(FIRST, times), np.repeat(SECOND, times), np.ones((1, times.sum())))
    assert kappa(FIRST, SECOND, weights[None]) == pytest.approx(expected)


def test_correlations_are_those_of_scipy() -> None:
    """With equal weights, ties included."""
    first = np.array([0.1, 0.4, 0.4, 0.9, 0.7])
    second = np.array([0.2, 0.3, 0.5, 0.8, 0.8])
    ones = np.ones((1, 5))
    assert correlation(first, second, ones)[0] == pytest.approx(pearsonr(first, second).statistic)
    assert rank_correlation(first, second, ones)[0] == pytest.approx(spearmanr(first, second).statistic)
    assert mean_shift(first, second, ones)[0] == pytest.approx(0.02)
    assert np.isnan(correlation(first, np.full(5, 0.3), ones)[0])


def test_the_interval_is_drawn_by_patient() -> None:
    """Two equal images of each patient add no knowledge: the interval stays; as strangers they would narrow it."""
    alone = Clusters.of([str(patient) for patient in range(50)])
    twice = Clusters.of([str(patient) for patient in range(50) for _ in range(2)])
    strangers = Clusters.of([None] * 100)
    first, second = np.repeat(FIRST, 2), np.repeat(SECOND, 2)
    single = estimate(of_both, alone)
    paired = estimate(lambda weights: kappa(first, second, weights), twice)
    loose = estimate(lambda weights: kappa(first, second, weights), strangers)
    assert paired.value == pytest.approx(0.4)
    assert (paired.high or 0) - (paired.low or 0) == pytest.approx((single.high or 0) - (single.low or 0), abs=0.06)
    assert (loose.high or 0) - (loose.low or 0) < 0.85 * ((paired.high or 0) - (paired.low or 0))


def test_the_interval_is_the_same_each_time() -> None:
    """The seed is fixed, and the interval holds the value."""
    first, second = (estimate(of_both, Clusters.of([None] * 50)) for _ in range(2))
    assert first == second
    assert first.low is not None
    assert first.high is not None
    assert first.low < 0.4 < first.high


def test_a_single_patient_has_no_interval() -> None:
    """There is nothing to draw from."""
    found = estimate(of_both, Clusters.of(["one"] * 50))
    assert (found.value, found.low, found.high) == (pytest.approx(0.4), None, None)
