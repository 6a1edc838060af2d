"""Postprocessing turns scores into results; the expected values are computed by hand."""

import time
from typing import Any

import numpy as np
import pytest
from scored_images import assert_result, make_sigmoid, rows

from models.postprocessing import ImageResult, Postprocessing
from nightread.errors import ImageError
from nightread.reasons import Reason


def make_postprocessing(**changes: Any) -> Postprocessing:
    values = {
        "labels": ("clear", "nodule"),
        "normal_label": "clear",
        "activation": "softmax",
        "thresholds": {"nodule": 0.5},
        "temperature": 1.0,
        "aggregate": "max",
    }
    return Postprocessing(**(values | changes))


def test_the_higher_of_two_softmax_scores_wins() -> None:
    """With a threshold of 0.5, the finding wins if its score is the higher one."""
    results = make_postprocessing().image_results(rows([0.7, 0.3], [0.2, 0.8]))
    assert_result(results[0], "clear", 0.7, [0.7, 0.3])
    assert_result(results[1], "nodule", 0.8, [0.2, 0.8])


def test_a_low_threshold_makes_a_softmax_network_more_sensitive() -> None:
    """A finding that reaches its threshold wins even if the normal label has a higher score."""
    result = make_postprocessing(thresholds={"nodule": 0.25}).image_result(rows([0.7, 0.3]))
    assert_result(result, "nodule", 0.3, [0.7, 0.3])


def test_a_score_equal_to_its_threshold_reaches_it() -> None:
    """This holds also for thresholds that a binary fraction cannot represent exactly."""
    assert make_postprocessing(thresholds={"nodule": 0.3}).image_result(rows([0.7, 0.3])).label == "nodule"


def test_without_thresholds_the_highest_label_wins() -> None:
    """With a threshold of None, a finding wins if its score is the highest of all labels."""
    postprocessing = make_postprocessing(
        labels=("normal", "a", "b"), normal_label="normal", thresholds={"a": None, "b": None}
    )
    results = postprocessing.image_results(rows([0.4, 0.35, 0.25], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]))
    assert [result.label for result in results] == ["normal", "a", "b"]


def test_digits_have_no_normal_label() -> None:
    """Without a normal label, each image gets the label with the highest score, and there is no suspicion."""
    postprocessing = make_postprocessing(labels=("0", "1", "2"), normal_label=None, thresholds=dict.fromkeys("012"))
    assert_result(postprocessing.image_result(rows([0.2, 0.5, 0.3])), "1", 0.5, [0.2, 0.5, 0.3])
    assert postprocessing.suspicion(rows([0.2, 0.5, 0.3])) is None


def test_each_sigmoid_finding_has_its_own_threshold() -> None:
    """The highest score does not win if it is below its own threshold."""
    results = make_sigmoid().image_results(rows([0.45, 0.55], [0.45, 0.65], [0.3, 0.5]))
    assert_result(results[0], "mass", 0.45, [0.45, 0.55])
    assert_result(results[1], "fracture", 0.65, [0.45, 0.65])
    assert_result(results[2], None, 0.5, [0.3, 0.5])


def test_a_sigmoid_network_may_have_a_normal_label_without_an_output() -> None:
    """The score of the normal label is 1 minus the highest score."""
    postprocessing = make_sigmoid(normal_label="normal")
    assert_result(postprocessing.image_result(rows([0.1, 0.2])), "normal", 0.8, [0.1, 0.2])
    assert postprocessing.suspicion(rows([0.1, 0.2])) == pytest.approx(0.2)


def test_one_frame_with_a_lesion_decides_against_many_clear_ones() -> None:
    """`max` takes the frame with the highest suspicion, even if the scores of a clear frame are more extreme."""
    scores = rows([0.99, 0.01], [0.3, 0.7], [0.98, 0.02])
    assert_result(make_postprocessing().image_result(scores), "nodule", 0.7, [0.3, 0.7])


def test_max_of_a_sigmoid_network_is_per_label() -> None:
    """Each finding takes its highest score, even if the frames differ."""
    result = make_sigmoid().image_result(rows([0.5, 0.1], [0.2, 0.9]))
    assert_result(result, "fracture", 0.9, [0.5, 0.9])


def test_mean_averages_frames() -> None:
    """The mean is compared with the threshold."""
    result = make_postprocessing(aggregate="mean").image_result(rows([0.9, 0.1], [0.5, 0.5], [0.7, 0.3]))
    assert_result(result, "clear", 0.7, [0.7, 0.3])


def test_vote_counts_frames() -> None:
    """The scores of a vote are the shares of the frames."""
    scores = rows([0.9, 0.1], [0.4, 0.6], [0.45, 0.55], [0.1, 0.9])
    assert_result(make_postprocessing(aggregate="vote").image_result(scores), "nodule", 0.75, [0.25, 0.75])


def test_a_tied_vote_goes_to_the_finding() -> None:
    """If half of the frames show a lesion, the image is not normal."""
    scores = rows([0.9, 0.1], [0.1, 0.9])
    assert make_postprocessing(aggregate="vote").image_result(scores).label == "nodule"


def test_a_vote_may_end_without_a_label() -> None:
    """Frames without a finding vote too."""
    scores = rows([0.1, 0.1], [0.2, 0.2], [0.5, 0.1])
    result = make_sigmoid(aggregate="vote").image_result(scores)
    assert_result(result, None, 2 / 3, [1 / 3, 0.0])


@pytest.mark.parametrize("aggregate", ["max", "mean", "vote"])
def test_one_frame_needs_no_aggregate(aggregate: str) -> None:
    """`image_result` and `image_results` agree for a single frame."""
    postprocessing, scores = make_postprocessing(aggregate=aggregate), rows([0.2, 0.8])
    assert postprocessing.image_result(scores) == postprocessing.image_results(scores)[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_have_no_result(value: float) -> None:
    """Only this image fails; the other images of the batch have results."""
    scores = rows([0.2, 0.8], [value, 0.5], [0.7, 0.3])
    results = make_postprocessing().image_results(scores)
    assert [result and result.label for result in results] == ["nodule", None, "clear"]
    with pytest.raises(ImageError) as caught:
        make_postprocessing().image_result(scores)
    assert caught.value.reason is Reason.BAD_SCORES


def test_an_image_without_frames_has_no_result() -> None:
    """An image without frames must not be called normal."""
    with pytest.raises(ImageError):
        make_postprocessing().image_result(np.empty((0, 2), np.float32))


def test_temperature_softens_softmax_scores() -> None:
    """With temperature 2, odds of 9 become odds of 3."""
    assert_result(make_postprocessing(temperature=2.0).image_result(rows([0.9, 0.1])), "clear", 0.75, [0.75, 0.25])


def test_temperature_softens_each_sigmoid_score() -> None:
    """Each sigmoid score is calibrated on its own."""
    result = make_sigmoid(temperature=2.0).image_result(rows([0.9, 0.1]))
    assert_result(result, "mass", 0.75, [0.75, 0.25])


def test_suspicion_is_one_minus_the_score_of_the_normal_label() -> None:
    """The leading axes are kept."""
    assert make_postprocessing().suspicion(rows([0.9, 0.1], [0.2, 0.8])) == pytest.approx([0.1, 0.8])


def test_an_empty_batch_has_no_results() -> None:
    """No scores give no results."""
    assert make_postprocessing().image_results(np.empty((0, 2), np.float32)) == []


def test_results_are_plain_python_values() -> None:
    """They are written to JSON and SQL without conversion."""
    result = make_postprocessing().image_results(rows([0.2, 0.8]))[0]
    assert isinstance(result, ImageResult)
    assert [type(value) for value in (result.label, result.score, *result.scores)] == [str, float, float, float]


def test_a_batch_costs_microseconds_per_image() -> None:
    """The hot path is vectorised; row by row it would take ten times as long."""
    postprocessing, scores = make_postprocessing(), np.random.default_rng(1).dirichlet((1, 1), 256).astype(np.float32)
    postprocessing.image_results(scores)
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        postprocessing.image_results(scores)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) / len(scores) < 5e-6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "relu"}, "activation is 'relu'"),
        ({"aggregate": "median"}, "aggregate is 'median'"),
        ({"labels": ("clear", "clear")}, "no label may occur twice"),
        ({"labels": ("clear",)}, "thresholds must name each label except normal_label"),
        ({"normal_label": "fine", "thresholds": {"clear": 0.5, "nodule": 0.5}}, "is not one of the labels"),
        ({"thresholds": {}}, "except normal_label: nodule"),
        ({"thresholds": {"nodule": 1.5}}, "between 0 and 1"),
        ({"activation": "sigmoid", "thresholds": {"nodule": None}}, "has no threshold"),
        ({"temperature": 0.0}, "positive"),
        ({"temperature": -1.0}, "positive"),
        ({"temperature": float("inf")}, "positive"),
        ({"thresholds": {"nodule": -0.1}}, "between 0 and 1"),
        ({"thresholds": {"nodule": 0.5, "clear": 0.5}}, "except normal_label: nodule"),
        ({"labels": (), "thresholds": {}}, "at least one label"),
    ],
)
def test_contradicting_fields_are_refused(changes: dict[str, Any], message: str) -> None:
    """The message names the field."""
    with pytest.raises(ValueError, match=message):
        make_postprocessing(**changes)
