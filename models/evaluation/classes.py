"""Compute the figures of one label against all others: hits, misses, false alarms."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score

from models.evaluation.bootstrap import Interval
from models.evaluation.operating import OperatingPoint, both_occur, operating_points
from models.evaluation.predictions import Predictions


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFigures:
    """The figures of one label against all others. A figure that is undefined for these data is None."""

    label: str
    support: int
    """The number of images that have the label."""
    threshold: float | None
    """The threshold in use; None for the normal label, and for a label that wins by the highest score."""
    precision: float | None
    """The share of images that have the label, among the images to which the label was assigned."""
    recall: float | None
    """The share of images to which the label was assigned, among the images that have it; also called sensitivity."""
    specificity: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    operating_points: tuple[OperatingPoint, ...]
    intervals: dict[str, Interval] = field(default_factory=dict)


def class_figures(predictions: Predictions, column: int) -> ClassFigures:
    """Return the figures of the label in this column, without intervals."""
    truth, assigned = predictions.truth[:, column], predictions.assigned[:, column]
    scores, label = predictions.scores[:, column], predictions.labels[column]
    (spared, alarms), (missed, hits) = confusion_matrix(truth, assigned, labels=[False, True]).tolist()
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth.astype(int), assigned.astype(int), average="binary", zero_division=np.nan
    )
    return ClassFigures(
        label=label,
        support=hits + missed,
        threshold=predictions.postprocessing.thresholds.get(label),
        precision=defined(precision),
        recall=defined(recall),
        specificity=spared / (spared + alarms) if spared + alarms else None,
        f1=defined(f1),
        roc_auc=float(roc_auc_score(truth, scores)) if both_occur(truth) else None,
        average_precision=float(average_precision_score(truth, scores)) if truth.any() else None,
        true_positives=hits,
        false_positives=alarms,
        false_negatives=missed,
        true_negatives=spared,
        operating_points=operating_points(truth, scores),
    )


def defined(value: float) -> float | None:
    """Return None for NaN: scikit-learn returns NaN for an undefined figure, and JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
