"""Temperature and thresholds, fitted on the validation part (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from models.evaluation.judged import judge
from models.evaluation.operating import Policy, threshold
from models.networks.scoring import Scored
from models.postprocessing import SIGMOID, SOFTMAX, VOTE, Postprocessing

_COLDEST, _HOTTEST = 0.1, 10.0
_EDGE = 1.02
_UNDECIDED = 0.5


def calibrate(postprocessing: Postprocessing, scored: Scored, *, policy: str = "youden") -> Postprocessing:
    """The verdict with temperature and thresholds that suit the validation part.

    A softmax verdict without a normal label keeps `when it is the highest`. A finding that all images have, or none,
    keeps its threshold. Raises UsageFault for an unknown policy and StopWork for scores that are not finite.
    """
    chosen = Policy.parse(policy)
    cooled = replace(postprocessing, temperature=fit_temperature(postprocessing, scored))
    if postprocessing.activation == SOFTMAX and postprocessing.normal_label is None:
        return cooled
    judged = judge(cooled, scored)
    levels = dict(cooled.thresholds)
    for column, label in enumerate(postprocessing.labels):
        if label in levels:
            fitted = threshold(judged.truth[:, column], judged.scores[:, column], chosen)
            levels[label] = fitted if fitted is not None else levels[label]
    return replace(cooled, thresholds=levels)


def fit_temperature(postprocessing: Postprocessing, scored: Scored) -> float:
    """The temperature of the least negative log-likelihood of the images; 1 where the data cannot tell.

    They cannot where there is one class only, or where the minimum lies at the edge of 0.1..10: a network that makes
    no mistake would be sharpened without end.
    """
    flat = scored.truth.reshape(-1, len(postprocessing.labels))
    if len(flat) == 0 or (flat == flat[0]).all():
        return 1.0
    if postprocessing.aggregate == VOTE:  # shares of votes are no probabilities: frames are what can be calibrated
        scored = replace(scored, truth=scored.truth[scored.image_of], image_of=np.arange(len(scored.image_of)))
    plain = replace(postprocessing, thresholds=dict.fromkeys(postprocessing.thresholds, _UNDECIDED))

    def loss(logarithm: float) -> float:
        judged = judge(replace(plain, temperature=float(np.exp(logarithm))), scored)
        return _negative_log_likelihood(judged.scores, judged.truth, sigmoid=postprocessing.activation == SIGMOID)

    fitted = minimize_scalar(loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded")
    temperature = float(np.exp(fitted.x))
    return temperature if _COLDEST * _EDGE < temperature < _HOTTEST / _EDGE else 1.0


def _negative_log_likelihood(scores: NDArray[np.float64], truth: NDArray[np.bool_], *, sigmoid: bool) -> float:
    """Per image, summed over labels for sigmoid; the floor is that of Verdict's float32."""
    tiny = np.finfo(np.float32).tiny
    loss = -(np.log(np.maximum(scores, tiny)) * truth).sum(axis=1)
    if sigmoid:
        loss -= (np.log(np.maximum(1 - scores, tiny)) * ~truth).sum(axis=1)
    return float(loss.mean())
