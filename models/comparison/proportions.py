"""Compare two shares that were measured on the same images: discordant counts, difference, McNemar's exact test."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedCounts:
    """For how many images both networks say yes, only the first network, only the second network, or neither."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @classmethod
    def of(cls, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> "PairedCounts":
        """Count the answers of two networks to the same yes-or-no question, both (images,)."""
        return cls(
            both=int((first & second).sum()),
            only_first=int((first & ~second).sum()),
            only_second=int((~first & second).sum()),
            neither=int((~first & ~second).sum()),
        )

    @property
    def images(self) -> int:
        """Return the number of images."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float | None:
        """Return the share of images with the answer yes: second network minus first, -1 to 1; None without images."""
        return (self.only_second - self.only_first) / self.images if self.images else None


def difference_interval(counts: PairedCounts, *, level: float = LEVEL) -> tuple[float, float] | None:
    """Return the interval of `counts.difference`, or None without images.

    The method is method 10 of Newcombe, Statistics in Medicine 17 (1998), 2635-2650: square-and-add of two Wilson
    intervals with their continuity-corrected correlation. The published examples are among the tests. Unlike the Wald
    interval, this interval keeps its level for few images and for shares near 0 and 1, and its width is never 0.
    """
    n = counts.images
    if n == 0:
        return None
    first, second = counts.both + counts.only_first, counts.both + counts.only_second
    share, other = second / n, first / n
    (low, high), (other_low, other_high) = wilson(second, n, level=level), wilson(first, n, level=level)
    phi = _correlation(counts)
    difference = share - other

    def reach(a: float, b: float) -> float:
        return sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    return (
        max(-1.0, difference - reach(share - low, other_high - other)),
        min(1.0, difference + reach(high - share, other - other_low)),
    )


def wilson(hits: int, images: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Return the score interval of a share (Wilson, Journal of the American Statistical Association 22, 1927)."""
    z = float(norm.ppf((1 + level) / 2))
    share = hits / images
    middle = share + z * z / (2 * images)
    reach = z * sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    return max(0.0, (middle - reach) / (1 + z * z / images)), min(1.0, (middle + reach) / (1 + z * z / images))


def mcnemar_p(counts: PairedCounts) -> float:
    """Return the p-value of McNemar's exact test of whether both networks say yes equally often.

    It is a binomial test on the images for which the networks differ (McNemar, Psychometrika 12, 1947). The result is
    1 if there are no such images.
    """
    apart = counts.only_first + counts.only_second
    return float(binomtest(counts.only_first, apart).pvalue) if apart else 1.0


def _correlation(counts: PairedCounts) -> float:
    """Return Newcombe's phi: the correlation of both answers, with a continuity correction if it is positive."""
    a, b, c, d, n = counts.both, counts.only_first, counts.only_second, counts.neither, counts.images
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    product = a * d - b * c
    corrected = max(product - n / 2, 0.0) if product > 0 else float(product)
    return float(corrected / sqrt(margins))
