"""The difference of two areas under ROC curves: a case computed by hand, and patients with several images."""

import numpy as np
import pytest

from models.comparison.agreement import Clusters
from models.comparison.roc_areas import compare_areas

TRUTH = np.array([True, True, True, False, False, False])
FIRST = np.array([0.9, 0.8, 0.3, 0.4, 0.2, 0.1])
SECOND = np.array([0.9, 0.2, 0.3, 0.4, 0.25, 0.1])


def test_the_variance_of_delong_is_the_one_computed_by_hand() -> None:
    """The placements differ by (0, -2/3, 0) and (-1/3, -1/3, 0): variance (4/27) / 3 + (1/27) / 3 = 5/81."""
    found = compare_areas(TRUTH, FIRST, SECOND)
    assert found is not None
    assert (found.first, found.second) == (pytest.approx(8 / 9), pytest.approx(2 / 3))
    assert found.standard_error == pytest.approx((5 / 81) ** 0.5)
    assert found.difference == pytest.approx(-2 / 9)
    assert (found.low, found.high) == (
        pytest.approx(-2 / 9 - 1.959964 * (5 / 81) ** 0.5),
        pytest.approx(-2 / 9 + 1.959964 * (5 / 81) ** 0.5),
    )
    assert found.p == pytest.approx(0.3711, abs=5e-5)  # z = 0.8944


def test_ties_count_half() -> None:
    """All scores are equal: the area is one half, and there is nothing to test."""
    found = compare_areas(TRUTH, np.zeros(6), np.zeros(6))
    assert found is not None
    assert (found.first, found.second, found.difference, found.p) == (0.5, 0.5, 0.0, 1.0)


def test_different_areas_without_variance_have_no_interval() -> None:
    """One score separates six images, the other is constant: this is no proof beyond all doubt."""
    found = compare_areas(TRUTH, np.zeros(6), TRUTH.astype(float))
    assert found is not None
    assert (found.first, found.second, found.low, found.high, found.p) == (0.5, 1.0, None, None, None)


def test_copies_of_a_patients_images_add_no_certainty() -> None:
    """With each image twice the error stays as long as both belong to one patient (Obuchowski, 1997)."""
    single = compare_areas(TRUTH, FIRST, SECOND)
    clusters = Clusters.of([str(patient) for patient in np.repeat(np.arange(6), 2)])
    twice = compare_areas(np.repeat(TRUTH, 2), np.repeat(FIRST, 2), np.repeat(SECOND, 2), clusters)
    loose = compare_areas(np.repeat(TRUTH, 2), np.repeat(FIRST, 2), np.repeat(SECOND, 2))
    assert single is not None
    assert twice is not None
    assert loose is not None
    assert twice.standard_error == pytest.approx(single.standard_error)
    assert (loose.standard_error or 0) < 0.75 * (single.standard_error or 0)
    assert (twice.patients, loose.patients) == (6, 12)


def test_a_patient_with_and_without_the_finding_counts_for_both_sides() -> None:
    """The two sides are no longer independent, and the covariance between them is part of the variance."""
    clusters = Clusters.of(["a", "b", "c", "a", "b", "c"])
    found = compare_areas(TRUTH, FIRST, SECOND, clusters)
    # Deviations of the difference by patient: (2/9, -4/9, 2/9) and (-1/9, -1/9, 2/9); their products sum to 6/81.
    covariance = 3 / 2 * (6 / 81)
    assert found is not None
    assert found.standard_error == pytest.approx((5 / 81 + 2 * covariance / 9) ** 0.5)


def test_without_both_sides_there_is_no_area() -> None:
    """All images have the finding, or none has it."""
    assert compare_areas(np.ones(6, bool), FIRST, SECOND) is None
    assert compare_areas(np.zeros(6, bool), FIRST, SECOND) is None


def test_one_patient_on_a_side_has_an_area_and_no_interval() -> None:
    """The variance of one value is unknown."""
    found = compare_areas(np.array([True, False, False, False, False, False]), FIRST, SECOND)
    assert found is not None
    assert (found.first, found.standard_error, found.low, found.p) == (1.0, None, None, None)
