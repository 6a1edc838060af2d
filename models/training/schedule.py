"""Learning rate and end of a training, as functions of its history: a resumed run goes on as it would have."""

from collections.abc import Sequence

PLATEAU_FACTOR = 0.3
PLATEAU_PATIENCE = 3
"""Epochs without a lower validation loss until the rate falls to PLATEAU_FACTOR of itself."""


def best_epoch(losses: Sequence[float]) -> int:
    """The first epoch, counted from 1, with the lowest loss; NaN is never the lowest, and 0 means there is none."""
    best = 0
    for epoch, loss in enumerate(losses, start=1):
        if loss == loss and (best == 0 or loss < losses[best - 1]):  # noqa: PLR0124 - NaN differs from itself
            best = epoch
    return best


def is_exhausted(losses: Sequence[float], patience: int | None) -> bool:
    """Whether the last `patience` epochs brought no lower loss."""
    return patience is not None and len(losses) - best_epoch(losses) >= patience


def plateau_rate(initial: float, losses: Sequence[float]) -> float:
    """The rate after these epochs: it falls each time that PLATEAU_PATIENCE epochs brought no lower loss."""
    rate, lowest, waited = initial, float("inf"), 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(lowest, loss) if loss == loss else lowest  # noqa: PLR0124
        if waited == PLATEAU_PATIENCE:
            rate, waited = rate * PLATEAU_FACTOR, 0
    return rate
