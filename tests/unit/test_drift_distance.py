"""The distance of histograms, and Holm's correction."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from nightread.drift.distance import holm, js_distances


def test_the_distance_is_that_of_scipy() -> None:
    """For many pairs of histograms, with empty bins among them."""
    rng = np.random.default_rng(3)
    counts, others = rng.poisson(2.0, (50, 12)), rng.poisson(2.0, (50, 12))
    expected = [jensenshannon(p, q, base=2) for p, q in zip(counts, others, strict=True)]
    assert js_distances(counts, others) == pytest.approx(expected, abs=1e-9)


def test_one_histogram_is_compared_with_many() -> None:
    """As with each of them."""
    one, many = np.array([3, 0, 1]), np.array([[3, 0, 1], [0, 5, 0]])
    assert js_distances(one, many) == pytest.approx([0, 1])


def test_a_histogram_without_images_is_no_difference() -> None:
    """Nothing can be said of it."""
    assert js_distances(np.zeros((1, 4)), np.ones(4)).tolist() == [0]


def test_a_share_that_doubles_has_the_distance_of_the_formula() -> None:
    """10 % and 20 %: computed by hand, 0.120."""
    distance = js_distances(np.array([[10, 90]]), np.array([20, 80]))
    assert distance[0] == pytest.approx(0.1199, abs=1e-4)


def test_holm_multiplies_by_the_number_that_is_left() -> None:
    """The example: 0.01 * 4, 0.02 * 3, 0.03 * 2 and 0.04 * 1, of which none is below the one before."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_stays_below_one() -> None:
    """A probability."""
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
