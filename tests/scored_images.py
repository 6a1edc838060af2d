"""Build postprocessing and scored images for tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evaluation.predictions import Predictions, image_predictions
from models.networks.scoring import Scored
from models.postprocessing import ImageResult, Postprocessing


def make_postprocessing(labels: Sequence[str] = ("clear", "nodule"), **changes: Any) -> Postprocessing:
    """Build a softmax postprocessing of `clear` and `nodule` with the threshold 0.5; `changes` replace fields."""
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
    """Build scored images with one frame each, or with the frames that `image_of` assigns."""
    return Scored(
        truth=np.asarray(truth, np.float32),
        scores=np.asarray(scores, np.float32),
        image_of=np.arange(len(truth)) if image_of is None else np.asarray(image_of),
        patients=None if patients is None else np.asarray(patients),
    )


def binary(nodule: Sequence[int], scores: Sequence[float], *, patients: Sequence[int] | None = None) -> Scored:
    """Build scored images of `clear` and `nodule` from the truth and the score of the nodule."""
    return make_scored([(1 - one, one) for one in nodule], [(1 - one, one) for one in scores], patients=patients)


def binary_predictions(
    nodule: Sequence[int], scores: Sequence[float], *, patients: Sequence[int] | None = None
) -> Predictions:
    """Build the predictions of make_postprocessing() for binary()."""
    return image_predictions(make_postprocessing(), binary(nodule, scores, patients=patients))


def make_sigmoid(**changes: Any) -> Postprocessing:
    """Build a sigmoid postprocessing of `mass` and `fracture` with the thresholds 0.4 and 0.6."""
    values = {"normal_label": None, "activation": "sigmoid", "thresholds": {"mass": 0.4, "fracture": 0.6}}
    return make_postprocessing(**({"labels": ("mass", "fracture")} | values | changes))


def rows(*values: list[float]) -> NDArray[np.float32]:
    """Return scores, one row per frame or image."""
    return np.array(values, np.float32)


def assert_result(result: ImageResult | None, label: str | None, score: float, scores: list[float]) -> None:
    """Compare a result with values that were calculated by hand."""
    assert result is not None
    assert result.label == label
    assert result.score == pytest.approx(score, abs=1e-6)
    assert result.scores == pytest.approx(scores, abs=1e-6)
