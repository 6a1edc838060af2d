"""Paired shares: published and hand-computed intervals and tests."""

from math import sqrt

import numpy as np
import pytest

from models.comparison.proportions import PairedCounts, difference_interval, mcnemar_p, wilson


def counts(both: int, only_first: int, only_second: int, neither: int) -> PairedCounts:
    """Return the four counts."""
    return PairedCounts(both=both, only_first=only_first, only_second=only_second, neither=neither)


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        ((36, 2, 12, 0), 0.0569, 0.3404),
        ((18, 2, 12, 18), 0.0562, 0.3290),
        ((53, 0, 0, 1), -0.0729, 0.0729),
        ((0, 0, 30, 0), 0.8395, 1.0),
        ((59, 16, 6, 80), -0.1186, -0.0046),
    ],
)
def test_the_interval_of_a_paired_difference_is_the_published_one(
    cells: tuple[int, int, int, int], low: float, high: float
) -> None:
    """Four examples of Newcombe, Statistics in Medicine 17 (1998), 2635-2650, as the R package propint tests them.

    The last one is a test of the R package contingencytables. Both packages were written independently of each other.
    """
    assert difference_interval(counts(*cells)) == pytest.approx((low, high), abs=5.1e-5)


@pytest.mark.parametrize("cells", [(1, 1, 7, 12), (20, 3, 9, 40), (3, 9, 8, 2), (14, 5, 0, 22), (0, 4, 1, 0)])
def test_the_interval_follows_from_its_definition(cells: tuple[int, int, int, int]) -> None:
    """The squares of the distances to both Wilson limits are added, less twice phi times their product."""
    both, only_first, only_second, neither = cells
    n, yes, other = sum(cells), both + only_second, both + only_first
    excess = both * neither - only_first * only_second
    phi = (max(excess - n / 2, 0) if excess > 0 else excess) / sqrt(yes * (n - yes) * other * (n - other))
    (low, high), (other_low, other_high) = wilson(yes, n), wilson(other, n)
    down, up = (yes / n - low, other_high - other / n), (high - yes / n, other / n - other_low)
    found = difference_interval(counts(*cells)) or (0.0, 0.0)
    for limit, (a, b) in zip(found, (down, up), strict=True):
        assert (limit - (only_second - only_first) / n) ** 2 == pytest.approx(a * a + b * b - 2 * phi * a * b)


@pytest.mark.parametrize(("hits", "images"), [(1, 29), (7, 21), (263, 264)])
def test_a_wilson_limit_is_the_share_that_the_score_test_just_allows(hits: int, images: int) -> None:
    """The observed share is 1.96 standard errors of the limit away from the limit."""
    for limit in wilson(hits, images):
        assert abs(hits / images - limit) == pytest.approx(1.959964 * sqrt(limit * (1 - limit) / images), rel=1e-6)


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


@pytest.mark.parametrize(("hits", "images", "low", "high"), [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)])
def test_the_interval_of_a_share_is_the_published_one(hits: int, images: int, low: float, high: float) -> None:
    """Examples of Newcombe, Statistics in Medicine 17 (1998), 857-872, as the R package propint tests them."""
    assert wilson(hits, images) == pytest.approx((low, high), abs=5.1e-5)


def test_no_hit_has_an_interval_that_begins_at_zero() -> None:
    """It ends at z^2 / (n + z^2), computed by hand: 3.8415 / 23.8415."""
    assert wilson(0, 20) == pytest.approx((0.0, 0.16113), abs=5e-6)


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
