"""Measure how far two networks agree, and how their scores correlate and shift, with bootstrap intervals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

ROUNDS = 2000
SEED = 0
_LEVEL = 0.95
_LEAST_ROUNDS = 100
_WORK = 20_000_000
"""For many images, the number of bootstrap rounds is reduced so that rounds x images stays within this number (but
never below 200 rounds). Computing one figure with its interval takes about a second at this limit."""
_LEAST_OF_MANY = 200
_CELLS = 2_000_000
"""The largest number of weights in memory at once: one per round and image."""

Floats = NDArray[np.float64]
Weights = NDArray[np.float64]
"""(rounds, images): how often each round drew each image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure with its 95% interval.

    The value is None if it is undefined. Both ends are None if the value is None, if there are fewer than two patients,
    or if the figure is defined in fewer than 100 rounds.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Clusters:
    """Groups of images of one patient. A bootstrap draws them together, because they resemble each other."""

    of_image: NDArray[np.intp]
    """(images,): the number of the patient of each image, from 0."""
    number: int
    """How many patients there are."""
    known: bool
    """Whether any patient is known. If none is, each image counts as a patient of its own."""

    @classmethod
    def of(cls, patients: Sequence[str | None]) -> "Clusters":
        """Number the patients. An image whose patient is unknown counts as a patient of its own."""
        names = [f"p{patient}" if patient else f"i{index}" for index, patient in enumerate(patients)]
        unique, of_image = np.unique(np.array(names, dtype=str), return_inverse=True)
        return cls(of_image=of_image, number=len(unique), known=any(patients))


def kappa(first: NDArray[np.intp], second: NDArray[np.intp], weights: Weights) -> Floats:
    """Return Cohen's kappa of two networks, (rounds,), from the labels that they give, (images,), as numbers from 0.

    Kappa is the agreement beyond chance, divided by the greatest possible agreement beyond chance (Cohen, Educational
    and Psychological Measurement 20, 1960, 37-46). It is NaN in a round in which both networks give one and the
    same label to all images.
    """
    labels = np.arange(max(int(first.max()), int(second.max())) + 1)
    total = weights.sum(axis=1)
    observed = weights @ (first == second).astype(np.float64) / total
    given = [(weights @ (codes[:, None] == labels).astype(np.float64)) / total[:, None] for codes in (first, second)]
    expected = (given[0] * given[1]).sum(axis=1)
    possible = 1 - expected
    return np.where(possible > _TINY, (observed - expected) / np.where(possible > _TINY, possible, 1), np.nan)


def correlation(first: Floats, second: Floats, weights: Weights) -> Floats:
    """Return Pearson's coefficient, (rounds,), of two scores, (images,); NaN in rounds in which a score is constant."""
    total = weights.sum(axis=1)
    means = [weights @ scores / total for scores in (first, second)]
    squares = [weights @ scores**2 / total - mean**2 for scores, mean in zip((first, second), means, strict=True)]
    product = weights @ (first * second) / total - means[0] * means[1]
    spread = np.sqrt(np.clip(squares[0], 0, None) * np.clip(squares[1], 0, None))
    return np.where(spread > _TINY, product / np.where(spread > _TINY, spread, 1), np.nan)


def rank_correlation(first: Floats, second: Floats, weights: Weights) -> Floats:
    """Return Spearman's coefficient, (rounds,): Pearson's coefficient of the ranks. Equal scores get their mean rank.

    An image has the same rank in each round, its rank among all images. Only the weights differ between rounds.
    """
    return correlation(rankdata(first), rankdata(second), weights)


def mean_shift(first: Floats, second: Floats, weights: Weights) -> Floats:
    """Return the mean of `second - first` over the images of each round, (rounds,)."""
    shifts: Floats = weights @ (second - first) / weights.sum(axis=1)
    return shifts


def estimate(
    figure: Callable[[Weights], Floats], clusters: Clusters, *, rounds: int = ROUNDS, seed: int = SEED
) -> Estimate:
    """Return a figure of all images, with its percentile interval by bootstrap over patients.

    Each round draws as many patients as there are, with replacement, and takes all images of each (Davison and Hinkley,
    Bootstrap Methods and their Application, 1997, section 3.8). The seed is fixed: the same images give the same
    interval. With fewer than two patients there is no interval.
    """
    images = len(clusters.of_image)
    if images == 0:
        return Estimate(value=None)
    value = float(figure(np.ones((1, images)))[0])
    if clusters.number < _LEAST_CLUSTERS or not np.isfinite(value):
        return Estimate(value=value if np.isfinite(value) else None)
    drawn = np.concatenate([figure(weights) for weights in _drawn(clusters, rounds, seed)])
    known = drawn[np.isfinite(drawn)]
    if len(known) < _LEAST_ROUNDS:
        return Estimate(value=value)
    low, high = np.quantile(known, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return Estimate(value=value, low=float(low), high=float(high))


def affordable_rounds(images: int, rounds: int = ROUNDS) -> int:
    """Return `rounds`, or for many images a lower number of rounds (at least 200), to limit the computing time."""
    return min(rounds, max(_LEAST_OF_MANY, _WORK // max(images, 1)))


def _drawn(clusters: Clusters, rounds: int, seed: int) -> Iterator[Weights]:
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS // len(clusters.of_image))
    for begin in range(0, rounds, at_once):
        count = min(at_once, rounds - begin)
        drawn = rng.multinomial(clusters.number, np.full(clusters.number, 1 / clusters.number), size=count)
        yield drawn[:, clusters.of_image].astype(np.float64)


_LEAST_CLUSTERS = 2
_TINY = 1e-12
