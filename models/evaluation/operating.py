"""Choose the threshold of a finding, and list its operating points on the ROC curve."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from nightread.errors import UsageFault

SPECIFICITIES = (0.90, 0.95, 0.99)
YOUDEN, SENSITIVITY, SPECIFICITY, FIXED = POLICIES = ("youden", "sensitivity", "specificity", "fixed")


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatingPoint:
    """The highest sensitivity that is possible at a given specificity."""

    specificity: float
    """The required specificity; the reached specificity is at least this high."""
    sensitivity: float
    threshold: float | None
    """The lowest score that counts as positive; None if the specificity is reached only when no image is positive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The rule for choosing a threshold: `youden`, `sensitivity:0.95`, `specificity:0.95` or `fixed:0.5`."""

    kind: str
    level: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """Parse a policy. Raises UsageFault for an unknown policy and for a number outside of 0..1."""
        kind, _, level = text.partition(":")
        if kind not in POLICIES or (kind == YOUDEN) != (level == ""):
            raise UsageFault(
                f"invalid threshold policy {text!r}: use youden, sensitivity:0.95, specificity:0.95 or fixed:0.5"
            )
        try:
            policy = cls(kind=kind, level=float(level or 0))
        except ValueError as error:
            raise UsageFault(f"invalid threshold policy {text!r}: {level!r} is not a number") from error
        if not 0 <= policy.level <= 1:
            raise UsageFault(f"invalid threshold policy {text!r}: the number must be in 0..1")
        return policy


def operating_points(truth: NDArray[np.bool_], scores: NDArray[Any]) -> tuple[OperatingPoint, ...]:
    """Return the sensitivity at each of SPECIFICITIES; empty if all images have the finding, or none has it.

    `truth` and `scores` are (images,).
    """
    if not both_occur(truth):
        return ()
    false_alarms, hits, levels = roc_curve(truth, scores, drop_intermediate=False)
    found = []
    for specificity in SPECIFICITIES:
        best = _last(_specific(false_alarms, specificity))
        level = float(levels[best])
        found.append(
            OperatingPoint(
                specificity=specificity,
                sensitivity=float(hits[best]),
                threshold=level if np.isfinite(level) else None,
            )
        )
    return tuple(found)


def threshold(truth: NDArray[np.bool_], scores: NDArray[Any], policy: Policy) -> float | None:
    """Return the threshold of the finding, halfway between two scores of images.

    Returns None if all images have the finding, or none has it, unless the policy is `fixed`.
    """
    if policy.kind == FIXED:
        return policy.level
    if not both_occur(truth):
        return None
    false_alarms, hits, levels = roc_curve(truth, scores, drop_intermediate=False)
    if policy.kind == YOUDEN:
        chosen = int(np.argmax(hits - false_alarms))
    elif policy.kind == SENSITIVITY:
        chosen = int(np.argmax(hits >= policy.level - _ROUNDING))
    else:
        chosen = _last(_specific(false_alarms, policy.level))
    return _between(levels, chosen)


def both_occur(truth: NDArray[np.bool_]) -> bool:
    """Return whether there are both images with the finding and images without it."""
    return bool(truth.any() and not truth.all())


def _specific(false_alarms: NDArray[np.float64], specificity: float) -> NDArray[np.bool_]:
    return np.asarray(1 - false_alarms >= specificity - _ROUNDING)


def _last(fits: NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(fits)[-1])


def _between(levels: NDArray[np.float64], chosen: int) -> float:
    """Return the middle between two scores, so that rounding of a score cannot change the result.

    `levels` are in descending order. The first level is infinite, so that no image counts as positive.
    """
    upper = min(float(levels[chosen]), 1.0)
    lower = float(levels[chosen + 1]) if chosen + 1 < len(levels) else 0.0
    middle = (upper + lower) / 2
    return middle if np.float32(lower) < np.float32(middle) else upper


_ROUNDING = 1e-9
"""Tolerance for floating point: 0.95 * 20 must count as 19 images."""
