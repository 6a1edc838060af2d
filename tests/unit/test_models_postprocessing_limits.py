"""Postprocessing at the limits of its rules; the expected values are computed by hand."""

import numpy as np
import pytest
from hostile_texts import HOSTILE, UNSAFE
from scored_images import assert_result, make_postprocessing, make_sigmoid, rows


def test_a_network_may_have_one_label_and_thresholds_at_both_ends() -> None:
    """A threshold of 0 is always reached, and a threshold of 1 only by a score of 1."""
    one = make_postprocessing(labels=("mass",), normal_label=None, activation="sigmoid", thresholds={"mass": 0})
    assert one.image_result(rows([0.0])).label == "mass"
    sure = make_postprocessing(thresholds={"nodule": 1})
    assert [found and found.label for found in sure.image_results(rows([0.0, 1.0], [0.01, 0.99]))] == [
        "nodule",
        "clear",
    ]


def test_numbers_may_be_written_as_integers() -> None:
    """The digest of a bundle must not depend on whether somebody wrote 1 or 1.0; None stays None."""
    given = make_postprocessing(labels=("0", "1"), normal_label=None, thresholds={"0": 1, "1": None}, temperature=2)
    assert [type(level) for level in given.thresholds.values()] == [float, type(None)]
    assert type(given.temperature) is float


def test_a_normal_label_without_an_output_needs_a_sigmoid_network() -> None:
    """The outputs of a softmax network add up to 1, so a missing one would have no score."""
    assert make_sigmoid(normal_label="normal").normal_label == "normal"
    assert make_postprocessing(normal_label=None, thresholds={"clear": 0.5, "nodule": 0.5}).normal_label is None


def test_a_normal_label_may_be_at_any_place() -> None:
    """It wins if no finding reaches its threshold, and its place has no threshold of its own."""
    last = make_postprocessing(labels=("nodule", "clear"))
    results = last.image_results(rows([0.3, 0.7], [0.5, 0.5]))
    assert [found and found.label for found in results] == ["clear", "nodule"]
    assert last.suspicion(rows([0.3, 0.7])) == pytest.approx([0.3])


def test_of_several_findings_over_their_thresholds_the_highest_wins() -> None:
    """A finding below its threshold does not compete, however high its score is."""
    three = make_sigmoid(labels=("a", "b", "c"), thresholds={"a": 0.1, "b": 0.2, "c": 0.95})
    results = three.image_results(rows([0.3, 0.6, 0.9], [0.6, 0.3, 0.9], [0.05, 0.1, 0.96]))
    assert [found and found.label for found in results] == ["b", "a", "c"]


def test_findings_with_and_without_a_threshold_compete_by_their_scores() -> None:
    """`a` reaches its threshold; `b` wins only where its score is the highest of all."""
    mixed = make_postprocessing(labels=("normal", "a", "b"), normal_label="normal", thresholds={"a": 0.2, "b": None})
    results = mixed.image_results(rows([0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.6, 0.1, 0.3], [0.4, 0.2, 0.4]))
    assert [found and found.label for found in results] == ["a", "b", "normal", "b"]


def test_a_frame_decides_by_its_suspicion_and_not_by_its_highest_score() -> None:
    """Without a normal label the highest score decides instead."""
    labels = {"labels": ("normal", "a", "b"), "thresholds": {"a": 0.5, "b": 0.5}}
    scores = rows([0.6, 0.2, 0.2], [0.3, 0.35, 0.35])
    assert make_postprocessing(normal_label="normal", **labels).image_result(scores).scores == pytest.approx(
        [0.3, 0.35, 0.35]
    )
    without = make_postprocessing(labels=("x", "a", "b"), normal_label=None, thresholds={"x": 0.5, "a": 0.5, "b": 0.5})
    assert without.image_result(scores).scores == pytest.approx([0.6, 0.2, 0.2])


def test_the_mean_of_a_sigmoid_network_is_per_label() -> None:
    """(0.1 + 0.5) / 2 and (0.9 + 0.3) / 2."""
    result = make_sigmoid(aggregate="mean").image_result(rows([0.1, 0.9], [0.5, 0.3]))
    assert_result(result, "fracture", 0.6, [0.3, 0.6])


def test_frames_are_calibrated_before_they_are_aggregated() -> None:
    """With temperature 2 the odds 9 and 1/9 become 3 and 1/3; the mean is 0.5 in either way of counting."""
    cool = make_postprocessing(temperature=2.0, aggregate="mean")
    assert_result(cool.image_result(rows([0.9, 0.1], [0.5, 0.5])), "clear", 0.625, [0.625, 0.375])


@pytest.mark.parametrize("aggregate", ["max", "mean", "vote"])
def test_a_temperature_applies_to_a_single_frame_too(aggregate: str) -> None:
    """One frame is not aggregated, but calibrated."""
    cool = make_postprocessing(temperature=2.0, aggregate=aggregate)
    assert_result(cool.image_result(rows([0.1, 0.9])), "nodule", 0.75, [0.25, 0.75])


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_scores_of_0_and_1_stay_where_they_are(temperature: float) -> None:
    """The smallest positive number stands for 0, so that no score becomes NaN."""
    for postprocessing in (make_postprocessing(temperature=temperature), make_sigmoid(temperature=temperature)):
        assert postprocessing.image_result(rows([0.0, 1.0])).scores == pytest.approx([0, 1], abs=1e-6)


def test_a_tied_vote_of_two_findings_goes_to_the_first_one() -> None:
    """A vote for the normal label loses a tie, also where it has no output of its own."""
    scores = rows([0.9, 0.1], [0.1, 0.9])
    assert make_sigmoid(aggregate="vote").image_result(scores).label == "mass"
    tied = make_sigmoid(aggregate="vote", normal_label="normal").image_result(rows([0.1, 0.1], [0.1, 0.9]))
    assert_result(tied, "fracture", 0.5, [0.0, 0.5])


def test_the_score_of_an_image_without_any_finding_is_that_of_the_nearest_one() -> None:
    """With a normal label that has no output it is 1 minus that score. Both kinds may be in one batch."""
    scores = rows([0.3, 0.5], [0.45, 0.1])
    assert [found and found.score for found in make_sigmoid().image_results(scores)] == pytest.approx([0.5, 0.45])
    named = make_sigmoid(normal_label="normal").image_results(scores)
    assert [(found and found.label, found and found.score) for found in named] == [
        ("normal", pytest.approx(0.5)),
        ("mass", pytest.approx(0.45)),
    ]


def test_the_results_of_a_batch_keep_their_places_around_an_image_without_scores() -> None:
    """The second image has no finite score."""
    results = make_postprocessing().image_results(rows([0.9, 0.1], [np.nan, 0.5], [0.4, 0.6]))
    assert [found and found.label for found in results] == ["clear", None, "nodule"]
    assert [found and found.score for found in results] == [pytest.approx(0.9), None, pytest.approx(0.6)]


def test_each_sigmoid_score_is_calibrated_by_itself() -> None:
    """With temperature 2, odds of 9 become odds of 3 for both findings of the first frame."""
    results = make_sigmoid(temperature=2.0).image_results(rows([0.9, 0.9], [0.1, 0.5]))
    assert [found and found.scores for found in results] == [pytest.approx([0.75, 0.75]), pytest.approx([0.25, 0.5])]


def test_each_image_of_a_softmax_batch_is_calibrated_by_itself() -> None:
    """Three images with two labels: odds of 9, 1 and 1/9 become odds of 3, 1 and 1/3."""
    results = make_postprocessing(temperature=2.0).image_results(rows([0.9, 0.1], [0.5, 0.5], [0.1, 0.9]))
    expected = [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]
    assert [found and found.scores for found in results] == [pytest.approx(one) for one in expected]


def test_without_calibration_scores_are_stored_as_the_network_gave_them() -> None:
    """They need not add up to 1."""
    assert make_postprocessing().image_result(rows([0.6, 0.6])).scores == pytest.approx([0.6, 0.6])


def test_the_highest_score_per_finding_is_taken_over_all_frames() -> None:
    """Three frames, two findings."""
    result = make_sigmoid().image_result(rows([0.3, 0.1], [0.7, 0.2], [0.1, 0.5]))
    assert_result(result, "mass", 0.7, [0.7, 0.5])


def test_a_vote_has_a_share_for_every_label() -> None:
    """All frames vote for the first of two findings."""
    result = make_sigmoid(aggregate="vote").image_result(rows([0.9, 0.1], [0.8, 0.1]))
    assert_result(result, "mass", 1.0, [1.0, 0.0])


def test_a_network_with_one_finding_may_not_find_it() -> None:
    """There is no second score."""
    one = make_postprocessing(labels=("mass",), normal_label=None, activation="sigmoid", thresholds={"mass": 0.5})
    assert_result(one.image_result(rows([0.2])), None, 0.2, [0.2])


@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
@pytest.mark.parametrize("normal_label", ["clear", "absent"])
def test_a_suspicion_has_the_leading_axes_of_its_scores(leading: tuple[int, ...], normal_label: str) -> None:
    """Each is 1 - 0.75, or the highest finding, 0.5, where the normal label has no output."""
    shape = (*leading, 2)
    if normal_label == "clear":
        postprocessing, scores, expected = make_postprocessing(), np.full(shape, (0.75, 0.25)), 0.25
    else:
        postprocessing, scores, expected = make_sigmoid(normal_label="absent"), np.full(shape, (0.25, 0.5)), 0.5
    suspicion = postprocessing.suspicion(scores)
    assert suspicion is not None
    assert suspicion.shape == leading
    assert (suspicion == expected).all()


def test_temperature_keeps_the_sum_of_three_softmax_scores() -> None:
    """With temperature 2, shares of 9, 4 and 1 become shares of their roots: 3, 2 and 1."""
    three = make_postprocessing(
        labels=("normal", "a", "b"), normal_label="normal", thresholds={"a": 0.5, "b": 0.5}, temperature=2.0
    )
    assert three.image_result(rows([9 / 14, 4 / 14, 1 / 14])).scores == pytest.approx([3 / 6, 2 / 6, 1 / 6])


def test_without_a_normal_label_the_frame_with_the_highest_score_decides() -> None:
    """It is the last of three frames."""
    digits = make_postprocessing(labels=("0", "1"), normal_label=None, thresholds={"0": None, "1": None})
    assert_result(digits.image_result(rows([0.6, 0.4], [0.3, 0.7], [0.1, 0.9])), "1", 0.9, [0.1, 0.9])


@pytest.mark.parametrize("text", [text for text in HOSTILE.values() if "[" not in text])
def test_a_label_with_control_characters_is_refused(text: str) -> None:
    """Labels are printed, stored and written into reports; the message is printed too."""
    with pytest.raises(ValueError, match="control characters") as refused:
        make_postprocessing(labels=("clear", text), thresholds={text: 0.5})
    assert not UNSAFE.search(str(refused.value))


@pytest.mark.parametrize("label", ["[/red]", "Größe 3", "\u05d7\u05d6\u05d4\u200f", "=1+1", "T1\u00a0-weighted"])
def test_a_label_may_have_any_other_character(label: str) -> None:
    """What a label looks like to one program is the concern of the exit to that program."""
    assert label in make_postprocessing(labels=("clear", label), thresholds={label: 0.5}).labels
