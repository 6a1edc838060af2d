"""Compare the areas under two ROC curves that were measured on the same images."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from models.comparison.agreement import Clusters

_LEVEL = 0.95
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class AreaDifference:
    """Two areas under ROC curves and their difference, second minus first."""

    with_finding: int
    without_finding: int
    patients: int
    first: float
    second: float
    difference: float
    standard_error: float | None
    """The standard error of the difference. It is None if fewer than two patients have images with the finding, or
    fewer than two have images without it.

    `low`, `high` and `p` are None in that case, and also if the areas differ although the standard error is 0.
    """
    low: float | None
    high: float | None
    p: float | None
    """The p-value of the two-sided test that both areas are equal."""


def compare_areas(
    truth: NDArray[np.bool_], first: Floats, second: Floats, clusters: Clusters | None = None
) -> AreaDifference | None:
    """Compare two scores (images,) by the truth (images,) of a finding; None if all images have it, or none has it.

    The variance is that of DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), 837-845, extended to several images
    of a patient by Obuchowski, Biometrics 53 (1997), 567-578. The extension changes nothing if each patient has one
    image. The placements come from ranks (Sun and Xu, IEEE Signal Processing Letters 21, 2014).
    """
    if truth.all() or not truth.any():
        return None
    of_image = np.arange(len(truth)) if clusters is None else clusters.of_image
    areas, with_finding, without = zip(*(_placements(truth, scores) for scores in (first, second)), strict=True)
    variance = _variance(np.array(areas), np.stack(with_finding), np.stack(without), truth, of_image)
    difference = areas[1] - areas[0]
    error = None if variance is None else sqrt(max(variance, 0.0))
    low, high, p = _test(difference, error)
    return AreaDifference(
        with_finding=int(truth.sum()),
        without_finding=int((~truth).sum()),
        patients=len(np.unique(of_image)),
        first=areas[0],
        second=areas[1],
        difference=difference,
        standard_error=error,
        low=low,
        high=high,
        p=p,
    )


def _placements(truth: NDArray[np.bool_], scores: Floats) -> tuple[float, Floats, Floats]:
    """Return the area, and the placements of the images with the finding and of the images without it.

    The placement of an image with the finding is the share of images without it that score lower. The placement of an
    image without the finding is the share of images with it that score higher. A tie counts half.
    """
    present, absent = scores[truth], scores[~truth]
    m, n = len(present), len(absent)
    ranks = rankdata(np.concatenate([present, absent]))
    v10 = (ranks[:m] - rankdata(present)) / n
    v01 = 1 - (ranks[m:] - rankdata(absent)) / m
    return float(v10.mean()), v10, v01


def _variance(
    areas: Floats, v10: Floats, v01: Floats, truth: NDArray[np.bool_], of_image: NDArray[np.intp]
) -> float | None:
    """Return the variance of the difference of the areas.

    It is None if fewer than two patients have images with the finding, or fewer than two have images without it. `v10`
    and `v01` are the placements of the images with and without the finding: (networks, images).
    """
    number = int(of_image.max()) + 1
    m_of, n_of = (np.bincount(of_image[side], minlength=number) for side in (truth, ~truth))
    m, n = int(m_of.sum()), int(n_of.sum())
    i10, i01, k = int((m_of > 0).sum()), int((n_of > 0).sum()), int(((m_of + n_of) > 0).sum())
    if min(i10, i01) < _LEAST_PATIENTS:
        return None
    deviation10 = _by_patient(v10, of_image[truth], number) - areas[:, None] * m_of
    deviation01 = _by_patient(v01, of_image[~truth], number) - areas[:, None] * n_of
    s10 = i10 / ((i10 - 1) * m) * (deviation10 @ deviation10.T)
    s01 = i01 / ((i01 - 1) * n) * (deviation01 @ deviation01.T)
    s11 = k / (k - 1) * (deviation10 @ deviation01.T)
    covariance = s10 / m + s01 / n + (s11 + s11.T) / (m * n)
    return float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])


def _by_patient(values: Floats, of_image: NDArray[np.intp], number: int) -> Floats:
    return np.stack([np.bincount(of_image, weights=row, minlength=number) for row in values])


def _test(difference: float, error: float | None) -> tuple[float | None, float | None, float | None]:
    if error is None or (error == 0 and difference != 0):
        return None, None, None
    reach = float(norm.ppf((1 + _LEVEL) / 2)) * error
    if error == 0:
        return difference, difference, 1.0
    p = 2 * float(norm.sf(abs(difference) / error))
    return max(-1.0, difference - reach), min(1.0, difference + reach), p


_LEAST_PATIENTS = 2
