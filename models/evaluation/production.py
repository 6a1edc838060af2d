"""Results that a network gave in production, beside the truth that became known later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.judged import Judged
from models.postprocessing import SOFTMAX, Postprocessing


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One image as the record has it."""

    image_id: int
    patient: str | None
    """The same text for images of one patient."""
    label: str | None
    scores: tuple[float, ...]
    """Calibrated and aggregated, in the order of the bundle's labels."""
    truth: Mapping[str, bool]
    """What is known, by label."""


def judge_results(postprocessing: Postprocessing, results: Sequence[Result]) -> tuple[Judged, list[int]]:
    """Images whose truth speaks of the bundle's labels, and the ids of the others.

    Softmax needs one true label: a label said to hold, or normality where every finding is denied.
    Sigmoid takes what is not mentioned as absent, once one of its labels is.
    """
    true_labels = [_true_labels(postprocessing, result.truth) for result in results]
    usable = [(result, true) for result, true in zip(results, true_labels, strict=True) if true is not None]
    names = (*postprocessing.labels, postprocessing.normal_label)
    patients = [result.patient for result, _ in usable if result.patient is not None]
    all_known = len(patients) == len(usable) > 0
    truth = np.array([[label in true for label in postprocessing.labels] for _, true in usable], bool)
    scores = np.array([result.scores for result, _ in usable], np.float64)
    judged = Judged(
        postprocessing=postprocessing,
        truth=truth.reshape(-1, len(postprocessing.labels)),
        scores=scores.reshape(-1, len(postprocessing.labels)),
        given=np.array([names.index(result.label) for result, _ in usable], np.int64),
        patients=np.unique(patients, return_inverse=True)[1] if all_known else None,
    )
    return judged, [result.image_id for result, true in zip(results, true_labels, strict=True) if true is None]


def _true_labels(postprocessing: Postprocessing, truth: Mapping[str, bool]) -> frozenset[str] | None:
    """The labels that hold; None where the truth does not speak of them, or contradicts itself."""
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
