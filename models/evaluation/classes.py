"""What is known of one label: found, missed, called by mistake."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score

from models.evaluation.bootstrap import Interval
from models.evaluation.judged import Judged
from models.evaluation.operating import OperatingPoint, both_occur, operating_points


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFigures:
    """One label against all others. Figures that the data leave undefined are None."""

    label: str
    support: int
    """Images that have it."""
    threshold: float | None
    """In force; None where the label counts when it is the highest, and for normality."""
    precision: float | None
    """Of the images that were given the label, the share that has it."""
    recall: float | None
    """Of the images that have it, the share that was given it: sensitivity."""
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


def class_figures(judged: Judged, column: int) -> ClassFigures:
    """The figures of one label, without intervals."""
    truth, called = judged.truth[:, column], judged.called[:, column]
    scores, label = judged.scores[:, column], judged.labels[column]
    (spared, alarms), (missed, hits) = confusion_matrix(truth, called, labels=[False, True]).tolist()
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth.astype(int), called.astype(int), average="binary", zero_division=np.nan
    )
    return ClassFigures(
        label=label,
        support=hits + missed,
        threshold=judged.postprocessing.thresholds.get(label),
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
    """NaN is how scikit-learn says `undefined`; JSON has a better word."""
    return float(value) if np.isfinite(value) else None
