"""Verdicts and scored images of tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.evaluation.judged import Judged, judge
from models.networks.scoring import Scored
from models.postprocessing import Postprocessing


def make_postprocessing(labels: Sequence[str] = ("clear", "nodule"), **changes: Any) -> Postprocessing:
    """Softmax of `clear` and `nodule`, called from 0.5, unless said otherwise."""
    normal = changes.pop("normal_label", "clear")
    values = {
        "labels": tuple(labels),
        "normal_label": normal,
        "activation": "softmax",
        "thresholds": {label: 0.5 for label in labels if label != normal},
        "temperature": 1,
        "aggregate": "max",
    }
    return Postprocessing(**(values | changes))


def make_scored(
    truth: Sequence[Sequence[int]] | np.ndarray,
    scores: Sequence[Sequence[float]] | np.ndarray,
    *,
    image_of: Sequence[int] | None = None,
    patients: Sequence[int] | None = None,
) -> Scored:
    """One frame per image unless `image_of` says otherwise."""
    return Scored(
        truth=np.asarray(truth, np.float32),
        scores=np.asarray(scores, np.float32),
        image_of=np.arange(len(truth)) if image_of is None else np.asarray(image_of),
        patients=None if patients is None else np.asarray(patients),
    )


def binary(nodule: Sequence[int], scores: Sequence[float], *, patients: Sequence[int] | None = None) -> Scored:
    """`clear` and `nodule` from truth and score of the nodule alone."""
    return make_scored([(1 - one, one) for one in nodule], [(1 - one, one) for one in scores], patients=patients)


def judged_binary(nodule: Sequence[int], scores: Sequence[float], *, patients: Sequence[int] | None = None) -> Judged:
    """The same, read by make_verdict()."""
    return judge(make_postprocessing(), binary(nodule, scores, patients=patients))
