"""Compute learning rate and end of a training from its history, so that a resumed training continues unchanged."""

from collections.abc import Sequence

PLATEAU_FACTOR = 0.3
PLATEAU_PATIENCE = 3
"""After this many epochs without a lower validation loss, the learning rate is multiplied by PLATEAU_FACTOR."""


def best_epoch(losses: Sequence[float]) -> int:
    """Return the first epoch with the lowest loss, counted from 1; 0 if there is none. NaN is never the lowest."""
    best = 0
    for epoch, loss in enumerate(losses, start=1):
        if loss == loss and (best == 0 or loss < losses[best - 1]):  # noqa: PLR0124 - NaN differs from itself
            best = epoch
    return best


def is_exhausted(losses: Sequence[float], patience: int | None) -> bool:
    """Return whether none of the last `patience` epochs had a lower loss; False if `patience` is None."""
    return patience is not None and len(losses) - best_epoch(losses) >= patience


def plateau_rate(initial: float, losses: Sequence[float]) -> float:
    """Return the learning rate after these epochs.

    It is reduced whenever the loss did not improve for PLATEAU_PATIENCE epochs.
    """
    rate, lowest, waited = initial, float("inf"), 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(lowest, loss) if loss == loss else lowest  # noqa: PLR0124
        if waited == PLATEAU_PATIENCE:
            rate, waited = rate * PLATEAU_FACTOR, 0
    return rate
