"""Every figure of an evaluation, compared with one that was calculated by hand."""

import json
from math import log

import numpy as np
import pytest
from scored_images import binary, binary_predictions, make_postprocessing, make_scored, make_sigmoid

from models.evaluation.measure import measure, measure_images
from models.evaluation.predictions import image_predictions, stored_predictions
from nightread.errors import StopWork, UsageFault

NODULE = (1, 1, 1, 0, 0, 0, 0, 0)
SCORES = (0.9, 0.8, 0.3, 0.7, 0.4, 0.2, 0.1, 0.05)
"""With the threshold 0.5: two of three nodules are found (0.9, 0.8), and there is one false alarm (0.7)."""


def test_counts_and_shares_of_one_finding() -> None:
    """TP 2, FN 1, FP 1, TN 4: precision 2/3, recall 2/3, specificity 4/5, F1 2/3, accuracy 6/8."""
    evaluation = measure(make_postprocessing(), binary(NODULE, SCORES), rounds=200)
    nodule = evaluation.classes[1]
    counts = nodule.true_positives, nodule.false_negatives, nodule.false_positives, nodule.true_negatives
    assert counts == (2, 1, 1, 4)
    assert nodule.precision == pytest.approx(2 / 3)
    assert nodule.recall == pytest.approx(2 / 3)
    assert nodule.specificity == pytest.approx(4 / 5)
    assert nodule.f1 == pytest.approx(2 / 3)
    assert (nodule.support, nodule.threshold, evaluation.accuracy) == (3, 0.5, 0.75)


def test_areas_under_curves() -> None:
    """Of 15 pairs 0.9 wins 5, 0.8 wins 5 and 0.3 wins 3; precision at the three hits is 1/1, 2/2 and 3/5."""
    nodule = measure(make_postprocessing(), binary(NODULE, SCORES), rounds=200).classes[1]
    assert nodule.roc_auc == pytest.approx(13 / 15)
    assert nodule.average_precision == pytest.approx((1 + 1 + 3 / 5) / 3)


def test_log_loss_is_that_of_the_true_label() -> None:
    """The true labels of two images score 0.8 and 0.5."""
    evaluation = measure(make_postprocessing(), binary((1, 0), (0.8, 0.5)), rounds=200)
    assert evaluation.loss == pytest.approx(-(log(0.8) + log(0.5)) / 2)


def test_confusion_and_macro_averages_of_three_labels() -> None:
    """a: 2 of 2 found, 1 alarm; b: 1 of 2 found; c: 1 of 1 found: precision (2/3 + 1 + 1)/3, recall (1 + 1/2 + 1)/3."""
    postprocessing = make_postprocessing("abc", normal_label=None, thresholds=dict.fromkeys("abc"))
    scores = np.eye(3)[[0, 0, 1, 0, 2]] * 0.7 + 0.1
    evaluation = measure(postprocessing, make_scored(np.eye(3)[[0, 0, 1, 1, 2]], scores), rounds=200)
    assert evaluation.confusion is not None
    assert evaluation.confusion.counts == ((2, 0, 0), (1, 1, 0), (0, 0, 1))
    assert evaluation.confusion.given == ("a", "b", "c")
    assert evaluation.macro_precision == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert evaluation.macro_recall == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert evaluation.macro_f1 == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)


def test_images_without_a_label_have_a_column_of_their_own() -> None:
    """No finding reaches its threshold and there is no normal label: the assigned label is `none`, which is wrong."""
    postprocessing = make_postprocessing("ab", normal_label=None, thresholds={"a": 0.9, "b": 0.9})
    evaluation = measure(postprocessing, make_scored([(1, 0), (0, 1)], [(0.95, 0.05), (0.4, 0.6)]), rounds=200)
    assert evaluation.confusion is not None
    assert evaluation.confusion.given == ("a", "b", "none")
    assert evaluation.confusion.truth == ("a", "b")
    assert evaluation.confusion.counts == ((1, 0, 0), (0, 0, 1))
    assert evaluation.accuracy == 0.5


def test_findings_that_occur_together() -> None:
    """Sigmoid, 3 images x 2 findings: 5 of 6 decisions and 2 of 3 images are correct; the loss is a mean."""
    postprocessing = make_postprocessing(("effusion", "mass"), normal_label="clear", activation="sigmoid")
    scored = make_scored([(1, 1), (1, 0), (0, 0)], [(0.9, 0.6), (0.8, 0.7), (0.2, 0.1)])
    evaluation = measure(postprocessing, scored, rounds=200)
    assert evaluation.confusion is None
    assert evaluation.accuracy == pytest.approx(2 / 3)
    assert evaluation.label_accuracy == pytest.approx(5 / 6)
    by_finding = log(0.9) + log(0.8) + log(1 - 0.2), log(0.6) + log(1 - 0.7) + log(1 - 0.1)
    assert evaluation.loss == pytest.approx(-sum(by_finding) / 6, rel=1e-5)
    assert evaluation.classes[1].precision == 0.5


def test_sensitivity_at_fixed_specificity() -> None:
    """One of 20 clear images scores 0.8: specificity 0.95 allows it, and 0.99 needs a threshold above 0.8."""
    clear = [0.8, *np.linspace(0.01, 0.4, 19)]
    predictions = binary_predictions([1, 1, 1, 1] + [0] * 20, [0.9, 0.6, 0.5, 0.005, *clear])
    points = measure_images(predictions, rounds=200).classes[1].operating_points
    assert [point.specificity for point in points] == [0.90, 0.95, 0.99]
    assert [point.sensitivity for point in points] == [0.75, 0.75, 0.25]
    assert points[2].threshold == pytest.approx(0.9)


def test_expected_calibration_error() -> None:
    """Four predictions at 0.9 (3 correct) and a wrong one at 0.6: (4 |0.9 - 0.75| + 1 |0.6 - 0|) / 5."""
    evaluation = measure(make_postprocessing(), binary((1, 1, 1, 0, 0), (0.9, 0.9, 0.9, 0.9, 0.6)), rounds=200)
    assert evaluation.reliability.ece == pytest.approx((4 * 0.15 + 0.6) / 5, abs=1e-6)
    assert sorted(bin_.answers for bin_ in evaluation.reliability.bins if bin_.answers) == [1, 4]


def test_every_score_of_a_sigmoid_network_counts_as_a_prediction() -> None:
    """Scores 0.1 and 0.9 are both correct: (|0.1 - 0| + |0.9 - 1|) / 2."""
    postprocessing = make_postprocessing(("mass",), normal_label="clear", activation="sigmoid")
    evaluation = measure(postprocessing, make_scored([[0], [1]], [[0.1], [0.9]]), rounds=200)
    assert evaluation.reliability.ece == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("nodule", [0, 1])
def test_data_of_one_class_leave_figures_undefined(nodule: int) -> None:
    """Undefined figures are null with a note; there is no warning and no exception."""
    evaluation = measure(make_postprocessing(), binary([nodule] * 5, [0.2] * 5), rounds=200)
    assert evaluation.macro_roc_auc is None
    assert evaluation.classes[1].operating_points == ()
    assert evaluation.intervals["macro_roc_auc"].low is None
    label = ("clear", "nodule")[nodule]
    assert f"All images have the label {label}: ROC-AUC is undefined." in evaluation.notes
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_a_finding_that_is_never_assigned_has_no_precision() -> None:
    """It counts as 0 in the average: (1/2 + 0) / 2."""
    evaluation = measure(make_postprocessing(), binary((1, 0), (0.2, 0.1)), rounds=200)
    assert evaluation.classes[1].precision is None
    assert evaluation.macro_precision == pytest.approx(1 / 4)
    assert any("The label nodule was never assigned" in note for note in evaluation.notes)


def test_a_perfect_result_states_the_upper_bound_of_the_error_rate() -> None:
    """Rule of three: six correct predictions bound the error rate by 3/6, which the bootstrap cannot show."""
    evaluation = measure(make_postprocessing(), binary((1, 0) * 3, (0.9, 0.1) * 3), rounds=200)
    assert (evaluation.intervals["accuracy"].low, evaluation.accuracy) == (1, 1)
    assert evaluation.notes == (
        "All predictions are correct. The true error rate may be up to 50 % (95 % confidence, 6 images).",
    )


def test_an_evaluation_without_images_is_refused() -> None:
    """A night without ground truth has no figures."""
    predictions = stored_predictions(make_postprocessing(), truth=np.empty((0, 2)), scores=np.empty((0, 2)), given=[])
    with pytest.raises(UsageFault, match="nothing to measure"):
        measure_images(predictions)


def test_frames_of_an_image_are_aggregated() -> None:
    """One of two frames shows the nodule, so the label of the image is nodule."""
    scored = make_scored([(0, 1), (1, 0)], [(0.9, 0.1), (0.1, 0.9), (0.8, 0.2)], image_of=[0, 0, 1])
    predictions = image_predictions(make_postprocessing(), scored)
    assert predictions.given.tolist() == [1, 0]
    assert predictions.scores[0].tolist() == pytest.approx([0.1, 0.9])
    assert measure_images(predictions, rounds=200).accuracy == 1


def test_stored_results_give_the_same_figures() -> None:
    """Final scores and labels from the database are measured like those of a data set."""
    predictions = binary_predictions(NODULE, SCORES)
    given = [predictions.names[number] for number in predictions.given]
    stored = stored_predictions(make_postprocessing(), truth=predictions.truth, scores=predictions.scores, given=given)
    assert measure_images(stored, rounds=200) == measure_images(predictions, rounds=200)


def test_nan_scores_stop_the_evaluation() -> None:
    """NaN would make all figures meaningless."""
    with pytest.raises(StopWork, match="NaN"):
        measure(make_postprocessing(), make_scored([(1, 0)], [(np.nan, 1)]))


@pytest.mark.parametrize(
    ("scores", "noted"),
    [
        ([0.9, 0.1] * 20, False),
        ([0.5] * 40, True),
        ([0.1, 0.9] * 20, True),
        ([0.9, 0.9, 0.1, 0.1] * 10, True),
    ],
    ids=["right", "constant", "inverted", "unrelated"],
)
def test_a_network_that_is_no_better_than_chance_is_noted(scores: list[float], *, noted: bool) -> None:
    """20 nodules and 20 clear images; the pairs of the last case are won as often as they are lost."""
    evaluation = measure(make_postprocessing(), binary((1, 0) * 20, scores), rounds=200)

    assert any(note.startswith("Not shown to be better than chance") for note in evaluation.notes) == noted


def test_a_label_that_is_recognised_by_chance_is_named() -> None:
    """The average of both labels is above chance, because one of them is right for every image."""
    truth = [(k % 2, k // 2 % 2) for k in range(80)]
    scores = [(0.1 + 0.8 * mass, (k * 37 % 80) / 80) for k, (mass, _) in enumerate(truth)]
    evaluation = measure(make_sigmoid(), make_scored(truth, scores), rounds=200)
    (note,) = [note for note in evaluation.notes if "chance" in note]
    assert note.startswith("Not shown to be better than chance for fracture:")
