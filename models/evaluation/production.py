"""Match results from production with the ground truth that was imported later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.predictions import Predictions
from models.postprocessing import SOFTMAX, Postprocessing


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The stored result of one image, with its ground truth."""

    image_id: int
    patient: str | None
    """The patient key: the same for all images of one patient."""
    label: str | None
    scores: tuple[float, ...]
    """Calibrated and aggregated scores in the order of the bundle's labels."""
    truth: Mapping[str, bool]
    """For each label, whether the image has it. A label is missing if it is not known whether the image has it."""


def predictions_with_truth(postprocessing: Postprocessing, results: Sequence[Result]) -> tuple[Predictions, list[int]]:
    """Return the predictions for images with a usable truth, and the ids of the other images.

    Softmax needs exactly one true label: a label that is true, or the normal label if all findings are false.
    Sigmoid needs the truth of at least one of its labels; labels that are not mentioned count as absent.
    """
    true_labels = [_true_labels(postprocessing, result.truth) for result in results]
    usable = [(result, true) for result, true in zip(results, true_labels, strict=True) if true is not None]
    names = (*postprocessing.labels, postprocessing.normal_label)
    patients = [result.patient for result, _ in usable if result.patient is not None]
    all_known = len(patients) == len(usable) > 0
    truth = np.array([[label in true for label in postprocessing.labels] for _, true in usable], bool)
    scores = np.array([result.scores for result, _ in usable], np.float64)
    predictions = Predictions(
        postprocessing=postprocessing,
        truth=truth.reshape(-1, len(postprocessing.labels)),
        scores=scores.reshape(-1, len(postprocessing.labels)),
        given=np.array([names.index(result.label) for result, _ in usable], np.int64),
        patients=np.unique(patients, return_inverse=True)[1] if all_known else None,
    )
    return predictions, [result.image_id for result, true in zip(results, true_labels, strict=True) if true is None]


def _true_labels(postprocessing: Postprocessing, truth: Mapping[str, bool]) -> frozenset[str] | None:
    """Return the true labels; None if the truth mentions none of the labels or contradicts itself."""
    known = {
        label: present
        for label, present in truth.items()
        if label in (*postprocessing.labels, postprocessing.normal_label)
    }
    holding = frozenset(label for label, present in known.items() if present)
    if not known:
        return None
    if postprocessing.activation != SOFTMAX:
        return holding
    all_denied = not any(known.get(label, True) for label in postprocessing.thresholds)
    if all_denied and postprocessing.normal_label in postprocessing.labels and postprocessing.normal_label not in known:
        holding = frozenset({postprocessing.normal_label or ""})
    return holding if len(holding) == 1 else None
