"""Temperature and thresholds, fitted to data for which the correct values are known."""

import numpy as np
import pytest
from scored_images import binary, make_postprocessing, make_scored

from models.evaluation.calibration import calibrate
from models.evaluation.measure import measure
from models.evaluation.predictions import image_predictions
from nightread.errors import UsageFault


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_a_known_softmax_temperature_is_recovered() -> None:
    """The truth is drawn from softmax(z), so a network that returns softmax(2 z) needs the temperature 2."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 1.5, (3000, 3))
    drawn = (_softmax(logits).cumsum(axis=1) > rng.random((3000, 1))).argmax(axis=1)
    postprocessing = make_postprocessing("abc", normal_label=None, thresholds=dict.fromkeys("abc"))
    scored = make_scored(np.eye(3)[drawn], _softmax(2 * logits))
    calibrated = calibrate(postprocessing, scored)
    assert calibrated.temperature == pytest.approx(2, rel=0.1)
    assert calibrated.thresholds == dict.fromkeys("abc")
    before, after = (measure(of, scored, rounds=200).reliability for of in (postprocessing, calibrated))
    assert after.ece < before.ece / 3


def test_a_known_sigmoid_temperature_is_recovered() -> None:
    """An underconfident network with independent findings: the temperature is below 1."""
    rng = np.random.default_rng(4)
    logits = rng.normal(-0.5, 2, (3000, 2))
    truth = rng.random((3000, 2)) < 1 / (1 + np.exp(-logits))
    postprocessing = make_postprocessing("ab", normal_label=None, activation="sigmoid", thresholds={"a": 0.5, "b": 0.5})
    calibrated = calibrate(postprocessing, make_scored(truth, 1 / (1 + np.exp(-logits / 2))))
    assert calibrated.temperature == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("nodule", [(1, 1, 0, 0), (0, 0, 0, 0)])
def test_the_temperature_is_1_if_the_data_do_not_define_it(nodule: tuple[int, ...]) -> None:
    """Without mistakes, or with a single class, a lower temperature is always better."""
    assert calibrate(make_postprocessing(), binary(nodule, (0.9, 0.8, 0.3, 0.1))).temperature == 1


def test_youden_takes_the_largest_sum_of_sensitivity_and_specificity() -> None:
    """Threshold 0.4: 3/3 nodules and 4/5 clear. The result is halfway between 0.4 and the next lower score, 0.2."""
    scored = binary((1, 1, 1, 0, 0, 0, 0, 0), (0.9, 0.8, 0.4, 0.7, 0.2, 0.2, 0.1, 0.05))
    calibrated = calibrate(make_postprocessing(), scored)
    predictions = image_predictions(calibrated, scored)
    assert predictions.assigned[:, 1].tolist() == [True, True, True, True, False, False, False, False]
    scores = predictions.scores[:, 1]
    assert calibrated.thresholds["nodule"] == pytest.approx((scores[2] + scores[4]) / 2)


@pytest.mark.parametrize(
    ("policy", "found", "alarms"),
    [("sensitivity:0.75", 3, 1), ("sensitivity:1", 4, 2), ("specificity:0.75", 3, 1), ("specificity:1", 2, 0)],
)
def test_policies_reach_their_sensitivity_or_specificity(policy: str, found: int, alarms: int) -> None:
    """Nodules score 0.9, 0.8, 0.6, 0.2; clear images 0.7, 0.3, 0.15, 0.1."""
    scored = binary((1, 1, 1, 1, 0, 0, 0, 0), (0.9, 0.8, 0.6, 0.2, 0.7, 0.3, 0.15, 0.1))
    assigned = image_predictions(calibrate(make_postprocessing(), scored, policy=policy), scored).assigned[:, 1]
    assert (assigned[:4].sum(), assigned[4:].sum()) == (found, alarms)


def test_a_fixed_threshold_does_not_depend_on_the_data() -> None:
    """`fixed:0.3` sets 0.3."""
    scored = binary((1, 0, 1, 0), (0.9, 0.1, 0.2, 0.8))
    assert calibrate(make_postprocessing(), scored, policy="fixed:0.3").thresholds == {"nodule": 0.3}


def test_a_finding_that_does_not_occur_keeps_its_threshold() -> None:
    """Without an image that has the finding, no threshold can be fitted."""
    postprocessing = make_postprocessing(
        ("a", "b"), normal_label=None, activation="sigmoid", thresholds={"a": 0.5, "b": 0.37}
    )
    calibrated = calibrate(postprocessing, make_scored([(1, 0), (0, 0), (1, 0)], [(0.8, 0.1), (0.3, 0.2), (0.2, 0.1)]))
    assert calibrated.thresholds["b"] == 0.37


def test_specificity_1_may_need_a_threshold_above_all_scores() -> None:
    """A clear image has the highest score, so no image counts as positive."""
    scored = binary((1, 0, 0, 1), (0.5, 0.9, 0.1, 0.3))
    calibrated = calibrate(make_postprocessing(), scored, policy="specificity:1")
    assert not image_predictions(calibrated, scored).assigned[:, 1].any()


@pytest.mark.parametrize("policy", ["best", "youden:1", "sensitivity", "sensitivity:x", "specificity:1.5"])
def test_unknown_policies_are_refused(policy: str) -> None:
    """The message lists the policies, or says what is wrong with the number."""
    with pytest.raises(UsageFault, match="threshold policy"):
        calibrate(make_postprocessing(), binary((1, 0), (0.9, 0.1)), policy=policy)
