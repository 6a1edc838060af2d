"""From scores to results, by hand."""

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.postprocessing import ImageResult, Postprocessing
from nightread.errors import ImageError
from nightread.reasons import Reason

Array = NDArray[np.float32]


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


def make_sigmoid(**changes: Any) -> Postprocessing:
    values = {"labels": ("mass", "fracture"), "normal_label": None, "activation": "sigmoid"}
    return make_postprocessing(**(values | {"thresholds": {"mass": 0.4, "fracture": 0.6}} | changes))


def rows(*values: list[float]) -> Array:
    return np.array(values, np.float32)


def assert_result(result: ImageResult | None, label: str | None, score: float, scores: list[float]) -> None:
    assert result is not None
    assert result.label == label
    assert result.score == pytest.approx(score, abs=1e-6)
    assert result.scores == pytest.approx(scores, abs=1e-6)


def test_the_higher_of_two_softmax_scores_wins() -> None:
    """At a threshold of one half the finding wins exactly when it is the likelier of the two."""
    results = make_postprocessing().image_results(rows([0.7, 0.3], [0.2, 0.8]))
    assert_result(results[0], "clear", 0.7, [0.7, 0.3])
    assert_result(results[1], "nodule", 0.8, [0.2, 0.8])


def test_a_low_threshold_makes_a_softmax_network_more_sensitive() -> None:
    """A finding that reached its threshold wins although normality is likelier."""
    result = make_postprocessing(thresholds={"nodule": 0.25}).image_result(rows([0.7, 0.3]))
    assert_result(result, "nodule", 0.3, [0.7, 0.3])


def test_a_score_equal_to_its_threshold_counts() -> None:
    """Reaching is enough, also for thresholds that binary fractions cannot hold."""
    assert make_postprocessing(thresholds={"nodule": 0.3}).image_result(rows([0.7, 0.3])).label == "nodule"


def test_without_thresholds_the_highest_label_wins() -> None:
    """A threshold of null means: when it is the highest of all labels, normality included."""
    postprocessing = make_postprocessing(
        labels=("normal", "a", "b"), normal_label="normal", thresholds={"a": None, "b": None}
    )
    results = postprocessing.image_results(rows([0.4, 0.35, 0.25], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]))
    assert [result.label for result in results] == ["normal", "a", "b"]


def test_digits_have_no_normal_label() -> None:
    """Without a normal label each image gets its highest label, and nothing is suspicious."""
    postprocessing = make_postprocessing(labels=("0", "1", "2"), normal_label=None, thresholds=dict.fromkeys("012"))
    assert_result(postprocessing.image_result(rows([0.2, 0.5, 0.3])), "1", 0.5, [0.2, 0.5, 0.3])
    assert postprocessing.suspicion(rows([0.2, 0.5, 0.3])) is None


def test_each_sigmoid_finding_has_its_own_threshold() -> None:
    """The highest score loses where it stays below its own threshold."""
    results = make_sigmoid().image_results(rows([0.45, 0.55], [0.45, 0.65], [0.3, 0.5]))
    assert_result(results[0], "mass", 0.45, [0.45, 0.55])
    assert_result(results[1], "fracture", 0.65, [0.45, 0.65])
    assert_result(results[2], None, 0.5, [0.3, 0.5])


def test_a_sigmoid_network_may_call_the_absence_of_findings_normal() -> None:
    """The normal label needs no output; its score is what no finding claims."""
    postprocessing = make_sigmoid(normal_label="normal")
    assert_result(postprocessing.image_result(rows([0.1, 0.2])), "normal", 0.8, [0.1, 0.2])
    assert postprocessing.suspicion(rows([0.1, 0.2])) == pytest.approx(0.2)


def test_one_frame_with_a_lesion_is_not_outvoted_by_many_clear_ones() -> None:
    """`max` takes the frame that speaks most against normality, though a clear frame is surer of itself."""
    scores = rows([0.99, 0.01], [0.3, 0.7], [0.98, 0.02])
    assert_result(make_postprocessing().image_result(scores), "nodule", 0.7, [0.3, 0.7])


def test_max_of_a_sigmoid_network_is_per_label() -> None:
    """Two findings may come from two frames."""
    result = make_sigmoid().image_result(rows([0.5, 0.1], [0.2, 0.9]))
    assert_result(result, "fracture", 0.9, [0.5, 0.9])


def test_mean_averages_frames() -> None:
    """The mean is taken before the threshold."""
    result = make_postprocessing(aggregate="mean").image_result(rows([0.9, 0.1], [0.5, 0.5], [0.7, 0.3]))
    assert_result(result, "clear", 0.7, [0.7, 0.3])


def test_vote_counts_frames() -> None:
    """The scores of a vote are shares of frames."""
    scores = rows([0.9, 0.1], [0.4, 0.6], [0.45, 0.55], [0.1, 0.9])
    assert_result(make_postprocessing(aggregate="vote").image_result(scores), "nodule", 0.75, [0.25, 0.75])


def test_a_tied_vote_goes_to_the_finding() -> None:
    """Two of four frames with a lesion are no all-clear."""
    scores = rows([0.9, 0.1], [0.1, 0.9])
    assert make_postprocessing(aggregate="vote").image_result(scores).label == "nodule"


def test_a_vote_may_end_without_a_label() -> None:
    """Frames in which nothing was found vote too."""
    scores = rows([0.1, 0.1], [0.2, 0.2], [0.5, 0.1])
    result = make_sigmoid(aggregate="vote").image_result(scores)
    assert_result(result, None, 2 / 3, [1 / 3, 0.0])


@pytest.mark.parametrize("aggregate", ["max", "mean", "vote"])
def test_one_frame_needs_no_aggregate(aggregate: str) -> None:
    """Both ways to the result of a single frame agree."""
    postprocessing, scores = make_postprocessing(aggregate=aggregate), rows([0.2, 0.8])
    assert postprocessing.image_result(scores) == postprocessing.image_results(scores)[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_have_no_result(value: float) -> None:
    """The image fails alone: its neighbours in the batch keep theirs."""
    scores = rows([0.2, 0.8], [value, 0.5], [0.7, 0.3])
    results = make_postprocessing().image_results(scores)
    assert [result and result.label for result in results] == ["nodule", None, "clear"]
    with pytest.raises(ImageError) as caught:
        make_postprocessing().image_result(scores)
    assert caught.value.reason is Reason.BAD_SCORES


def test_an_image_without_frames_has_no_result() -> None:
    """No frame is no all-clear."""
    with pytest.raises(ImageError):
        make_postprocessing().image_result(np.empty((0, 2), np.float32))


def test_temperature_softens_softmax_scores() -> None:
    """At temperature 2 odds of 9 become odds of 3."""
    assert_result(make_postprocessing(temperature=2.0).image_result(rows([0.9, 0.1])), "clear", 0.75, [0.75, 0.25])


def test_temperature_softens_each_sigmoid_score() -> None:
    """Sigmoid scores are calibrated one by one."""
    result = make_sigmoid(temperature=2.0).image_result(rows([0.9, 0.1]))
    assert_result(result, "mass", 0.75, [0.75, 0.25])


def test_suspicion_is_what_speaks_against_normality() -> None:
    """It keeps the leading axes."""
    assert make_postprocessing().suspicion(rows([0.9, 0.1], [0.2, 0.8])) == pytest.approx([0.1, 0.8])


def test_an_empty_batch_has_no_results() -> None:
    """Nothing in, nothing out."""
    assert make_postprocessing().image_results(np.empty((0, 2), np.float32)) == []


def test_results_are_plain_python_values() -> None:
    """They go to JSON and SQL as they are."""
    result = make_postprocessing().image_results(rows([0.2, 0.8]))[0]
    assert isinstance(result, ImageResult)
    assert [type(value) for value in (result.label, result.score, *result.scores)] == [str, float, float, float]


def test_a_batch_costs_microseconds_per_image() -> None:
    """The hot path is vectorised: one row at a time would take ten times as long."""
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
        ({"labels": ("clear", "clear")}, "all different"),
        ({"labels": ("clear",)}, "exactly the findings"),
        ({"normal_label": "fine", "thresholds": {"clear": 0.5, "nodule": 0.5}}, "none of the labels"),
        ({"thresholds": {}}, "exactly the findings: nodule"),
        ({"thresholds": {"nodule": 1.5}}, "0..1"),
        ({"activation": "sigmoid", "thresholds": {"nodule": None}}, "do not exclude each other"),
        ({"temperature": 0.0}, "positive"),
    ],
)
def test_senseless_combinations_are_refused(changes: dict[str, Any], message: str) -> None:
    """The message names the field."""
    with pytest.raises(ValueError, match=message):
        make_postprocessing(**changes)
