"""Temperature and thresholds, fitted to data whose answer is known."""

import numpy as np
import pytest
from scored_images import binary, make_postprocessing, make_scored

from models.evaluation.calibration import calibrate
from models.evaluation.judged import judge
from models.evaluation.measure import measure
from nightread.errors import UsageFault


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_a_known_softmax_temperature_is_recovered() -> None:
    """Truth drawn from softmax(z); a network that answers softmax(2 z) is twice too sure."""
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
    """The same for findings that do not exclude each other, and for a network that is not sure enough."""
    rng = np.random.default_rng(4)
    logits = rng.normal(-0.5, 2, (3000, 2))
    truth = rng.random((3000, 2)) < 1 / (1 + np.exp(-logits))
    postprocessing = make_postprocessing("ab", normal_label=None, activation="sigmoid", thresholds={"a": 0.5, "b": 0.5})
    calibrated = calibrate(postprocessing, make_scored(truth, 1 / (1 + np.exp(-logits / 2))))
    assert calibrated.temperature == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("nodule", [(1, 1, 0, 0), (0, 0, 0, 0)])
def test_data_that_cannot_tell_leave_the_temperature_at_1(nodule: tuple[int, ...]) -> None:
    """No mistakes: sharper would always be better. One class: so would always answering it."""
    assert calibrate(make_postprocessing(), binary(nodule, (0.9, 0.8, 0.3, 0.1))).temperature == 1


def test_youden_takes_the_largest_sum_of_sensitivity_and_specificity() -> None:
    """From 0.4 up: 3/3 nodules and 4/5 clear; the threshold lies halfway to the next lower score, 0.2."""
    scored = binary((1, 1, 1, 0, 0, 0, 0, 0), (0.9, 0.8, 0.4, 0.7, 0.2, 0.2, 0.1, 0.05))
    calibrated = calibrate(make_postprocessing(), scored)
    judged = judge(calibrated, scored)
    assert judged.called[:, 1].tolist() == [True, True, True, True, False, False, False, False]
    scores = judged.scores[:, 1]
    assert calibrated.thresholds["nodule"] == pytest.approx((scores[2] + scores[4]) / 2)


@pytest.mark.parametrize(
    ("policy", "found", "alarms"),
    [("sensitivity:0.75", 3, 1), ("sensitivity:1", 4, 2), ("specificity:0.75", 3, 1), ("specificity:1", 2, 0)],
)
def test_policies_keep_what_they_promise(policy: str, found: int, alarms: int) -> None:
    """Nodules at 0.9, 0.8, 0.6, 0.2; clear at 0.7, 0.3, 0.15, 0.1: the best that keeps the promise."""
    scored = binary((1, 1, 1, 1, 0, 0, 0, 0), (0.9, 0.8, 0.6, 0.2, 0.7, 0.3, 0.15, 0.1))
    called = judge(calibrate(make_postprocessing(), scored, policy=policy), scored).called[:, 1]
    assert (called[:4].sum(), called[4:].sum()) == (found, alarms)


def test_a_fixed_threshold_is_taken_as_it_is() -> None:
    """Whatever the data say."""
    scored = binary((1, 0, 1, 0), (0.9, 0.1, 0.2, 0.8))
    assert calibrate(make_postprocessing(), scored, policy="fixed:0.3").thresholds == {"nodule": 0.3}


def test_a_finding_that_does_not_occur_keeps_its_threshold() -> None:
    """The truth cannot tell where to put it."""
    postprocessing = make_postprocessing(
        ("a", "b"), normal_label=None, activation="sigmoid", thresholds={"a": 0.5, "b": 0.37}
    )
    calibrated = calibrate(postprocessing, make_scored([(1, 0), (0, 0), (1, 0)], [(0.8, 0.1), (0.3, 0.2), (0.2, 0.1)]))
    assert calibrated.thresholds["b"] == 0.37


def test_nothing_but_silence_is_specific_enough() -> None:
    """A clear image at the very top: the threshold lies above it."""
    scored = binary((1, 0, 0, 1), (0.5, 0.9, 0.1, 0.3))
    calibrated = calibrate(make_postprocessing(), scored, policy="specificity:1")
    assert not judge(calibrated, scored).called[:, 1].any()


@pytest.mark.parametrize("policy", ["best", "youden:1", "sensitivity", "sensitivity:x", "specificity:1.5"])
def test_unknown_policies_are_refused(policy: str) -> None:
    """The message names those that exist, or what is wrong with the number."""
    with pytest.raises(UsageFault, match="threshold policy"):
        calibrate(make_postprocessing(), binary((1, 0), (0.9, 0.1)), policy=policy)
