"""Do images that score 0.8 turn out right eight times in ten?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.judged import Judged

BINS = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Answers of about the same confidence; `low` < confidence <= `high`."""

    low: float
    high: float
    answers: int
    confidence: float | None
    """Their mean; None for an empty bin."""
    observed: float | None
    """The share of them that is true."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reliability:
    """Expected calibration error over equal-width bins (Guo et al. 2017)."""

    ece: float
    of: str
    """`highest label`: an answer is the highest-scoring label of an image; `every finding`: each score is one."""
    bins: tuple[Bin, ...]


def reliability(judged: Judged) -> Reliability:
    """Softmax is judged by its highest label, sigmoid by all of its scores."""
    if judged.exclusive:
        confidence, true = judged.scores.max(axis=1), judged.scores.argmax(axis=1) == judged.true
    else:
        confidence, true = judged.scores.ravel(), judged.truth.ravel()
    bins = _bins(confidence, np.asarray(true, np.float64))
    gaps = [bin_.answers * abs(bin_.confidence - bin_.observed) for bin_ in bins if bin_.answers]  # type: ignore[operator]
    return Reliability(
        ece=float(sum(gaps) / len(confidence)), of="highest label" if judged.exclusive else "every finding", bins=bins
    )


def _bins(confidence: NDArray[np.float64], true: NDArray[np.float64]) -> tuple[Bin, ...]:
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    answers = np.bincount(place, minlength=BINS)
    sums = np.bincount(place, confidence, BINS), np.bincount(place, true, BINS)
    return tuple(
        Bin(
            low=float(edges[number]),
            high=float(edges[number + 1]),
            answers=count,
            confidence=float(sums[0][number] / count) if count else None,
            observed=float(sums[1][number] / count) if count else None,
        )
        for number, count in enumerate(answers.tolist())
    )
