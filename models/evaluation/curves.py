"""Curves of the page, thinned to what an eye can tell apart."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from models.evaluation.judged import Judged
from models.evaluation.operating import both_occur

Curve = tuple[NDArray[Any], NDArray[Any]]

_POINTS = 200


def drawn_labels(judged: Judged) -> list[int]:
    """Columns worth a curve: not normality beside one finding, whose curve is the same mirrored, nor what is absent."""
    columns = [k for k in range(len(judged.labels)) if both_occur(judged.truth[:, k])]
    findings = [k for k in columns if judged.labels[k] != judged.postprocessing.normal_label]
    return findings if len(judged.labels) == 2 and findings else columns  # noqa: PLR2004


def roc(judged: Judged, column: int) -> Curve:
    """1 - specificity, sensitivity."""
    false_alarms, hits, _ = roc_curve(judged.truth[:, column], judged.scores[:, column])
    return _thin(false_alarms, hits)


def precision_recall(judged: Judged, column: int) -> Curve:
    """Recall, precision."""
    precision, recall, _ = precision_recall_curve(
        judged.truth[:, column], judged.scores[:, column], drop_intermediate=True
    )
    return _thin(recall[::-1], precision[::-1])


def _thin(across: NDArray[Any], up: NDArray[Any]) -> Curve:
    """Points at even distances along the curve; all where there are few."""
    if len(across) <= _POINTS:
        return across, up
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(across), np.diff(up)))])
    kept = np.unique(np.searchsorted(walked, np.linspace(0, walked[-1], _POINTS)).clip(max=len(across) - 1))
    return across[kept], up[kept]
