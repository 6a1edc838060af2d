"""Paired shares: published and hand-computed intervals and tests."""

import numpy as np
import pytest

from models.comparison.proportions import PairedCounts, difference_interval, mcnemar_p, wilson


def counts(both: int, only_first: int, only_second: int, neither: int) -> PairedCounts:
    """Return the four counts."""
    return PairedCounts(both=both, only_first=only_first, only_second=only_second, neither=neither)


def test_the_interval_of_a_paired_difference_is_the_published_one() -> None:
    """Airway hyper-responsiveness of 21 children: Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014)."""
    low, high = difference_interval(counts(1, 1, 7, 12)) or (0.0, 0.0)
    assert (round(low, 3), round(high, 3)) == (0.026, 0.507)


def test_swapping_the_networks_mirrors_the_interval() -> None:
    """The difference has no preferred direction."""
    low, high = difference_interval(counts(20, 3, 9, 40)) or (0.0, 0.0)
    other = difference_interval(counts(20, 9, 3, 40))
    assert other == pytest.approx((-high, -low))


def test_networks_that_agree_have_an_interval_around_zero() -> None:
    """The interval of Wald would have no width."""
    low, high = difference_interval(counts(5, 0, 0, 15)) or (0.0, 0.0)
    assert low < 0 < high
    assert difference_interval(counts(0, 0, 0, 0)) is None


@pytest.mark.parametrize(
    ("hits", "images", "low", "high"), [(81, 263, 0.2553, 0.3662), (1, 29, 0.0061, 0.1718), (0, 20, 0.0, 0.1611)]
)
def test_the_interval_of_a_share_is_the_published_one(hits: int, images: int, low: float, high: float) -> None:
    """Method 3 in table I of Newcombe, Statistics in Medicine 17 (1998), 857-872."""
    assert wilson(hits, images) == pytest.approx((low, high), abs=5e-5)


def test_mcnemars_test_is_exact() -> None:
    """One against seven: 2 x (1 + 8) / 256, computed by hand."""
    assert mcnemar_p(counts(1, 1, 7, 12)) == pytest.approx(18 / 256)
    assert mcnemar_p(counts(3, 0, 0, 4)) == 1.0


def test_images_are_counted_by_both_answers() -> None:
    """Each image is in one of four cells."""
    first = np.array([True, True, False, False, True])
    second = np.array([True, False, True, False, False])
    found = PairedCounts.of(first, second)
    assert found == counts(1, 2, 1, 1)
    assert (found.images, found.difference) == (5, -0.2)
