"""Compute the Jensen-Shannon distance of histograms, and Holm's correction for several comparisons."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def js_distances(counts: NDArray[np.generic], others: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the distances (n,) of histograms (n, bins) from others (n, bins) or from one (bins,).

    A distance is the square root of the divergence with logarithms to base 2: 0 for equal shares, 1 for shares without
    a common bin, as scipy.spatial.distance.jensenshannon(p, q, base=2). A histogram without images has distance 0.
    """
    p, q = _shares(counts), _shares(others)
    middle = (p + q) / 2
    divergence = (_terms(p, middle) + _terms(q, middle)).sum(axis=-1) / 2
    empty = (p.sum(axis=-1) == 0) | (q.sum(axis=-1) == 0)
    return np.where(empty, 0.0, np.sqrt(np.maximum(divergence, 0)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values, adjusted for their number (Holm, Scandinavian Journal of Statistics 6 (1979), 65-70)."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _shares(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    numbers = np.asarray(counts, np.float64)
    shares: NDArray[np.float64] = numbers / np.maximum(numbers.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    return shares


def _terms(shares: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = np.divide(shares, middle, out=np.ones_like(middle), where=shares > 0)
    return np.broadcast_to(shares, middle.shape) * np.log2(ratio)
