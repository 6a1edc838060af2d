"""Fit temperature and thresholds on the validation part (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from models.evaluation.operating import Policy, threshold
from models.evaluation.predictions import image_predictions
from models.networks.scoring import Scored
from models.postprocessing import SIGMOID, SOFTMAX, VOTE, Postprocessing

_COLDEST, _HOTTEST = 0.1, 10.0
_EDGE = 1.02
"""A temperature within 2 % of a bound counts as being at the bound."""
_UNDECIDED = 0.5


def calibrate(postprocessing: Postprocessing, scored: Scored, *, policy: str = "youden") -> Postprocessing:
    """Return the postprocessing with the temperature and the thresholds that fit the validation part.

    Without a normal label, softmax has no thresholds: the highest label wins. A finding that all images have, or that
    no image has, keeps its threshold. Raises UsageFault for an unknown policy and StopWork for scores that are not
    finite.
    """
    chosen = Policy.parse(policy)
    cooled = replace(postprocessing, temperature=fit_temperature(postprocessing, scored))
    if postprocessing.activation == SOFTMAX and postprocessing.normal_label is None:
        return cooled
    predictions = image_predictions(cooled, scored)
    levels = dict(cooled.thresholds)
    for column, label in enumerate(postprocessing.labels):
        if label in levels:
            fitted = threshold(predictions.truth[:, column], predictions.scores[:, column], chosen)
            levels[label] = fitted if fitted is not None else levels[label]
    return replace(cooled, thresholds=levels)


def fit_temperature(postprocessing: Postprocessing, scored: Scored) -> float:
    """Return the temperature with the smallest negative log-likelihood of the images; 1 if the data do not define it.

    The data do not define it if all images have the same labels, or if the minimum is at a bound of 0.1..10: the
    likelihood of a network without mistakes grows without limit as the temperature falls.
    """
    flat = scored.truth.reshape(-1, len(postprocessing.labels))
    if len(flat) == 0 or (flat == flat[0]).all():
        return 1.0
    if postprocessing.aggregate == VOTE:  # shares of votes are not probabilities, so calibrate frames, not images
        scored = replace(scored, truth=scored.truth[scored.image_of], image_of=np.arange(len(scored.image_of)))
    plain = replace(postprocessing, thresholds=dict.fromkeys(postprocessing.thresholds, _UNDECIDED))

    def loss(logarithm: float) -> float:
        predictions = image_predictions(replace(plain, temperature=float(np.exp(logarithm))), scored)
        return _negative_log_likelihood(
            predictions.scores, predictions.truth, sigmoid=postprocessing.activation == SIGMOID
        )

    fitted = minimize_scalar(loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded")
    temperature = float(np.exp(fitted.x))
    return temperature if _COLDEST * _EDGE < temperature < _HOTTEST / _EDGE else 1.0


def _negative_log_likelihood(scores: NDArray[np.float64], truth: NDArray[np.bool_], *, sigmoid: bool) -> float:
    """Return the mean negative log-likelihood of the images.

    For sigmoid, the negative log-likelihood of an image is the sum over its labels. A score of 0 counts as the smallest
    normal number, as in Postprocessing, because 0 has no logarithm.
    """
    tiny = np.finfo(np.float32).tiny
    loss = -(np.log(np.maximum(scores, tiny)) * truth).sum(axis=1)
    if sigmoid:
        loss -= (np.log(np.maximum(1 - scores, tiny)) * ~truth).sum(axis=1)
    return float(loss.mean())
