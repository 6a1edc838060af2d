"""Measure calibration: whether predictions with a confidence of 0.8 are correct in 80 % of the cases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.predictions import Predictions

BINS = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """The predictions with `low` < confidence <= `high`."""

    low: float
    high: float
    answers: int
    """The number of predictions; the name is a key of evaluation.json."""
    confidence: float | None
    """The mean confidence of the predictions; None for an empty bin."""
    observed: float | None
    """The share of the predictions that is correct; None for an empty bin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reliability:
    """The expected calibration error over bins of equal width (Guo et al. 2017)."""

    ece: float
    of: str
    """What counts as a prediction: the `highest label` of an image, or `every finding`, that is, every score."""
    bins: tuple[Bin, ...]


def reliability(predictions: Predictions) -> Reliability:
    """Compute the calibration error, for softmax from the highest score of each image, for sigmoid from all scores."""
    if predictions.exclusive:
        confidence, true = predictions.scores.max(axis=1), predictions.scores.argmax(axis=1) == predictions.true
    else:
        confidence, true = predictions.scores.ravel(), predictions.truth.ravel()
    bins = _bins(confidence, np.asarray(true, np.float64))
    gaps = [bin_.answers * abs(bin_.confidence - bin_.observed) for bin_ in bins if bin_.answers]  # type: ignore[operator]
    return Reliability(
        ece=float(sum(gaps) / len(confidence)),
        of="highest label" if predictions.exclusive else "every finding",
        bins=bins,
    )


def _bins(confidence: NDArray[np.float64], true: NDArray[np.float64]) -> tuple[Bin, ...]:
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    sums = np.bincount(place, confidence, BINS), np.bincount(place, true, BINS)
    return tuple(
        Bin(
            low=float(edges[number]),
            high=float(edges[number + 1]),
            answers=count,
            confidence=float(sums[0][number] / count) if count else None,
            observed=float(sums[1][number] / count) if count else None,
        )
        for number, count in enumerate(counts.tolist())
    )
