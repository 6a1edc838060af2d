"""Compute the ROC and precision-recall curves that evaluation.html shows, with at most 200 points each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from models.evaluation.operating import both_occur
from models.evaluation.predictions import Predictions

Curve = tuple[NDArray[Any], NDArray[Any]]

_POINTS = 200


def drawn_labels(predictions: Predictions) -> list[int]:
    """Return the columns to draw: labels that some images have and others do not.

    The normal label is left out if there is only one finding, because its curve mirrors the curve of the finding.
    """
    columns = [k for k in range(len(predictions.labels)) if both_occur(predictions.truth[:, k])]
    findings = [k for k in columns if predictions.labels[k] != predictions.postprocessing.normal_label]
    return findings if len(predictions.labels) == 2 and findings else columns  # noqa: PLR2004


def roc(predictions: Predictions, column: int) -> Curve:
    """Return two arrays: `1 - specificity`, and sensitivity."""
    false_alarms, hits, _ = roc_curve(predictions.truth[:, column], predictions.scores[:, column])
    return _thin(false_alarms, hits)


def precision_recall(predictions: Predictions, column: int) -> Curve:
    """Return two arrays: recall, and precision."""
    precision, recall, _ = precision_recall_curve(
        predictions.truth[:, column], predictions.scores[:, column], drop_intermediate=True
    )
    return _thin(recall[::-1], precision[::-1])


def _thin(across: NDArray[Any], up: NDArray[Any]) -> Curve:
    """Return points at even distances along the curve, or all points if there are at most 200."""
    if len(across) <= _POINTS:
        return across, up
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(across), np.diff(up)))])
    kept = np.unique(np.searchsorted(walked, np.linspace(0, walked[-1], _POINTS)).clip(max=len(across) - 1))
    return across[kept], up[kept]
