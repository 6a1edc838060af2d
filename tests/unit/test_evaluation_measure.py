"""Every figure against one worked out by hand."""

import json
from math import log

import numpy as np
import pytest
from scored_images import binary, judged_binary, make_postprocessing, make_scored

from models.evaluation.judged import judge, judged_images
from models.evaluation.measure import measure, measure_images
from nightread.errors import StopWork, UsageFault

NODULE = (1, 1, 1, 0, 0, 0, 0, 0)
SCORES = (0.9, 0.8, 0.3, 0.7, 0.4, 0.2, 0.1, 0.05)
"""From 0.5 up: two of three nodules found (0.9, 0.8), one false alarm (0.7)."""


def test_counts_and_shares_of_one_finding() -> None:
    """2 hits, 1 missed, 1 alarm, 4 spared: precision 2/3, recall 2/3, specificity 4/5, F1 2/3, accuracy 6/8."""
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
    """15 pairs, of which 0.9 wins 5, 0.8 wins 5 and 0.3 wins 3; precision at the three hits is 1/1, 2/2 and 3/5."""
    nodule = measure(make_postprocessing(), binary(NODULE, SCORES), rounds=200).classes[1]
    assert nodule.roc_auc == pytest.approx(13 / 15)
    assert nodule.average_precision == pytest.approx((1 + 1 + 3 / 5) / 3)


def test_log_loss_is_that_of_the_true_label() -> None:
    """Two images, true labels at 0.8 and 0.5."""
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
    """No finding reaches its threshold and nothing is called normal: given is `none`, and that is wrong."""
    postprocessing = make_postprocessing("ab", normal_label=None, thresholds={"a": 0.9, "b": 0.9})
    evaluation = measure(postprocessing, make_scored([(1, 0), (0, 1)], [(0.95, 0.05), (0.4, 0.6)]), rounds=200)
    assert evaluation.confusion is not None
    assert evaluation.confusion.given == ("a", "b", "none")
    assert evaluation.confusion.truth == ("a", "b")
    assert evaluation.confusion.counts == ((1, 0, 0), (0, 0, 1))
    assert evaluation.accuracy == 0.5


def test_findings_that_occur_together() -> None:
    """Sigmoid: 3 images x 2 findings, 5 of 6 answers right, 2 of 3 images wholly right, losses per finding averaged."""
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
    """Of 20 clear images one scores above: at 0.95 both nodules above 0.5 count, at 0.99 only the one above 0.8."""
    clear = [0.8, *np.linspace(0.01, 0.4, 19)]
    judged = judged_binary([1, 1, 1, 1] + [0] * 20, [0.9, 0.6, 0.5, 0.005, *clear])
    points = measure_images(judged, rounds=200).classes[1].operating_points
    assert [point.specificity for point in points] == [0.90, 0.95, 0.99]
    assert [point.sensitivity for point in points] == [0.75, 0.75, 0.25]
    assert points[2].threshold == pytest.approx(0.9)


def test_expected_calibration_error() -> None:
    """Four answers at 0.9 of which 3 are right, one at 0.6 that is wrong: (4 |0.9 - 0.75| + 1 |0.6 - 0|) / 5."""
    evaluation = measure(make_postprocessing(), binary((1, 1, 1, 0, 0), (0.9, 0.9, 0.9, 0.9, 0.6)), rounds=200)
    assert evaluation.reliability.ece == pytest.approx((4 * 0.15 + 0.6) / 5, abs=1e-6)
    assert sorted(bin_.answers for bin_ in evaluation.reliability.bins if bin_.answers) == [1, 4]


def test_every_score_of_a_sigmoid_network_is_an_answer() -> None:
    """Scores 0.1 and 0.9, both right: (|0.1 - 0| + |0.9 - 1|) / 2."""
    postprocessing = make_postprocessing(("mass",), normal_label="clear", activation="sigmoid")
    evaluation = measure(postprocessing, make_scored([[0], [1]], [[0.1], [0.9]]), rounds=200)
    assert evaluation.reliability.ece == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("nodule", [0, 1])
def test_data_of_one_class_leave_figures_undefined(nodule: int) -> None:
    """Null and a note, neither a warning nor a crash."""
    evaluation = measure(make_postprocessing(), binary([nodule] * 5, [0.2] * 5), rounds=200)
    assert evaluation.macro_roc_auc is None
    assert evaluation.classes[1].operating_points == ()
    assert evaluation.intervals["macro_roc_auc"].low is None
    assert any(f"Every image is {('clear', 'nodule')[nodule]}" in note for note in evaluation.notes)
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_a_finding_that_is_never_called_has_no_precision() -> None:
    """And counts as 0 in the average: (1/2 + 0) / 2."""
    evaluation = measure(make_postprocessing(), binary((1, 0), (0.2, 0.1)), rounds=200)
    assert evaluation.classes[1].precision is None
    assert evaluation.macro_precision == pytest.approx(1 / 4)
    assert any("No image was given nodule" in note for note in evaluation.notes)


def test_no_mistakes_are_no_proof() -> None:
    """Six right answers bound the rate of wrong ones by 3/6, which the bootstrap cannot show."""
    evaluation = measure(make_postprocessing(), binary((1, 0) * 3, (0.9, 0.1) * 3), rounds=200)
    assert (evaluation.intervals["accuracy"].low, evaluation.accuracy) == (1, 1)
    assert evaluation.notes == ("No image was answered wrong; up to 50 % may be (95 %, 6 images).",)


def test_no_images_at_all() -> None:
    """A night without truth has no figures, and says so."""
    judged = judged_images(make_postprocessing(), truth=np.empty((0, 2)), scores=np.empty((0, 2)), given=[])
    with pytest.raises(UsageFault, match="nothing to measure"):
        measure_images(judged)


def test_frames_of_an_image_are_read_by_its_verdict() -> None:
    """Two frames, one of which shows the nodule: one image, found."""
    scored = make_scored([(0, 1), (1, 0)], [(0.9, 0.1), (0.1, 0.9), (0.8, 0.2)], image_of=[0, 0, 1])
    judged = judge(make_postprocessing(), scored)
    assert judged.given.tolist() == [1, 0]
    assert judged.scores[0].tolist() == pytest.approx([0.1, 0.9])
    assert measure_images(judged, rounds=200).accuracy == 1


def test_stored_results_give_the_same_figures() -> None:
    """Final scores and given labels, as a night has them, are measured as those of a data set are."""
    judged = judged_binary(NODULE, SCORES)
    given = [judged.names[number] for number in judged.given]
    stored = judged_images(make_postprocessing(), truth=judged.truth, scores=judged.scores, given=given)
    assert measure_images(stored, rounds=200) == measure_images(judged, rounds=200)


def test_scores_that_are_no_numbers_stop_the_work() -> None:
    """NaN would make every figure meaningless."""
    with pytest.raises(StopWork, match="NaN"):
        measure(make_postprocessing(), make_scored([(1, 0)], [(np.nan, 1)]))
