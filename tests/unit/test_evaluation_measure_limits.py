"""Figures of an evaluation at the limits of their definitions, compared with values that were calculated by hand."""

from math import log

import numpy as np
import pytest
from scored_images import binary, binary_predictions, make_postprocessing, make_scored

from models.evaluation.measure import measure, measure_images
from models.evaluation.predictions import Predictions, stored_predictions
from models.postprocessing import Postprocessing


def three_labels() -> Postprocessing:
    """Labels a, b and c, of which the one with the highest score wins."""
    return make_postprocessing("abc", normal_label=None, thresholds=dict.fromkeys("abc"))


def stored(postprocessing: Postprocessing, truth: list[list[int]], scores: list[list[float]]) -> Predictions:
    """Return predictions as the database has them: each image has the label with the highest score."""
    given = [postprocessing.labels[int(np.argmax(one))] for one in scores]
    return stored_predictions(postprocessing, truth=np.array(truth), scores=np.array(scores), given=given)


def test_the_figures_name_the_data_and_the_method() -> None:
    """Four images; 1,000 rounds and the seed 0 are the default."""
    evaluation = measure(make_postprocessing(temperature=1.5), binary((1, 1, 0, 0), (0.9, 0.4, 0.3, 0.2)))
    assert (evaluation.images, evaluation.labels, evaluation.temperature) == (4, ("clear", "nodule"), 1.5)
    method = evaluation.resampling
    assert (method.rounds, method.seed, method.unit, method.units, method.level) == (1000, 0, "image", 4, 0.95)
    named = measure(make_postprocessing(), binary((1, 0), (0.9, 0.2), patients=(7, 7)), seed=5, rounds=300)
    method = named.resampling
    assert (method.rounds, method.seed, method.unit, method.units) == (300, 5, "patient", 1)


def test_label_accuracy_is_a_figure_of_findings_only() -> None:
    """Labels that exclude each other have one decision per image, and a confusion matrix."""
    softmax = measure(make_postprocessing(), binary((1, 0), (0.9, 0.2)), rounds=200)
    assert softmax.label_accuracy is None
    assert softmax.confusion is not None
    assert (softmax.confusion.truth, softmax.confusion.given) == (("clear", "nodule"), ("clear", "nodule"))


def test_macro_averages_leave_out_a_label_that_does_not_occur() -> None:
    """Label c is assigned once and never true. a: precision 1/1, recall 1/2; b: precision 1/1, recall 1/1."""
    scores = np.eye(3)[[0, 2, 1]] * 0.7 + 0.1
    evaluation = measure(three_labels(), make_scored(np.eye(3)[[0, 0, 1]], scores), rounds=200)
    assert evaluation.macro_precision == pytest.approx(1)
    assert evaluation.macro_recall == pytest.approx((1 / 2 + 1) / 2)
    assert evaluation.macro_f1 == pytest.approx((2 / 3 + 1) / 2)
    assert "No image has the label c: recall and curves are undefined." in evaluation.notes
    assert evaluation.classes[2].support == 0


def test_macro_areas_are_means_over_the_labels() -> None:
    """Nodule: 3 of 4 pairs, and (1/1 + 2/3)/2; clear, with scores turned around: 3 of 4 pairs, and (1/1 + 2/3)/2."""
    evaluation = measure(make_postprocessing(), binary((1, 1, 0, 0), (0.9, 0.3, 0.4, 0.2)), rounds=200)
    assert evaluation.macro_roc_auc == pytest.approx(3 / 4)
    assert evaluation.macro_average_precision == pytest.approx((1 + 2 / 3) / 2)


def test_macro_areas_of_labels_that_differ() -> None:
    """a: its one image has the highest of three scores; b: 0 of 2 pairs, found last of three; c: 2 of 2 pairs."""
    scores = [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5]]
    evaluation = measure_images(stored(three_labels(), [[1, 0, 0], [0, 1, 0], [0, 0, 1]], scores), rounds=200)
    assert [figures.roc_auc for figures in evaluation.classes] == pytest.approx([1, 0, 1])
    assert evaluation.macro_roc_auc == pytest.approx(2 / 3)
    assert evaluation.macro_average_precision == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert evaluation.macro_precision == pytest.approx((1 / 2 + 0 + 1) / 3)


def test_each_label_has_its_own_intervals() -> None:
    """All images are called b: the recall of a is 0 and that of b is 1 in every round."""
    truth, scores = [[1, 0, 0]] * 3 + [[0, 1, 0]] * 3, [[0.2, 0.7, 0.1]] * 6
    evaluation = measure_images(stored(three_labels(), truth, scores), rounds=400)
    a, b, c = (figures.intervals for figures in evaluation.classes)
    assert set(a) == {"precision", "recall", "f1", "roc_auc"}
    assert [(one["recall"].low, one["recall"].high) for one in (a, b, c)] == [(0, 0), (1, 1), (None, None)]
    assert (a["roc_auc"].low, a["roc_auc"].high) == (0.5, 0.5)
    names = {"accuracy", "macro_precision", "macro_recall", "macro_f1", "macro_roc_auc"}
    assert set(evaluation.intervals) == names
    low, high = evaluation.intervals["accuracy"].low, evaluation.intervals["accuracy"].high
    assert low is not None
    assert high is not None
    assert 0 <= low < 0.5 < high <= 1


def test_another_seed_draws_other_rounds() -> None:
    """The figures themselves do not depend on it."""
    predictions = binary_predictions((1, 1, 1, 0, 0, 0, 0), (0.9, 0.6, 0.3, 0.7, 0.4, 0.2, 0.1))
    one, again, other = (measure_images(predictions, seed=seed, rounds=200) for seed in (1, 1, 2))
    assert one == again
    assert one.intervals != other.intervals
    assert (one.accuracy, one.loss) == (other.accuracy, other.loss)


@pytest.mark.parametrize(
    ("excess", "defined"), [(0.0, True), (0.0009, True), (-0.0009, True), (0.0011, False), (-0.0011, False)]
)
def test_a_loss_needs_scores_that_add_up_to_1(excess: float, *, defined: bool) -> None:
    """A difference of less than 0.001 is rounding; the scores are divided by their sum."""
    truth, scores = [[1, 0, 0], [0, 1, 0]], [[0.5, 0.3, 0.2 + excess], [0.3, 0.4, 0.3]]
    evaluation = measure_images(stored(three_labels(), truth, scores), rounds=200)
    note = "The log loss is undefined: the scores are not probabilities of the true labels."
    assert (note in evaluation.notes) is not defined
    expected = -(log(0.5 / (1 + excess)) + log(0.4)) / 2
    assert evaluation.loss == (pytest.approx(expected) if defined else None)


def test_a_loss_needs_a_true_label_of_every_image() -> None:
    """The second image has none of the labels: it has a row of its own, and its assigned label is wrong."""
    truth, scores = [[1, 0, 0], [0, 0, 0]], [[0.5, 0.3, 0.2], [0.3, 0.4, 0.3]]
    evaluation = measure_images(stored(three_labels(), truth, scores), rounds=200)
    assert evaluation.loss is None
    assert "The log loss is undefined: the scores are not probabilities of the true labels." in evaluation.notes
    assert evaluation.confusion is not None
    assert evaluation.confusion.truth == ("a", "b", "c", "none")
    assert evaluation.confusion.given == ("a", "b", "c")
    assert evaluation.confusion.counts == ((1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 1, 0))
    assert evaluation.accuracy == 0.5


def test_one_score_is_no_distribution() -> None:
    """A network with one label has no log loss, even if its score is 1."""
    only = make_postprocessing(("mass",), normal_label=None, thresholds={"mass": 0.5})
    evaluation = measure_images(stored(only, [[1], [1]], [[1.0], [1.0]]), rounds=200)
    assert evaluation.loss is None


def test_findings_have_a_loss_without_adding_up() -> None:
    """Sigmoid scores need not add up to 1, and there is no note about it."""
    findings = make_postprocessing(("mass", "effusion"), normal_label="clear", activation="sigmoid")
    evaluation = measure(findings, make_scored([(0, 1), (1, 0)], [(0.2, 0.9), (0.4, 0.3)]), rounds=200)
    by_finding = log(1 - 0.2) + log(0.4), log(0.9) + log(1 - 0.3)
    assert evaluation.loss == pytest.approx(-sum(by_finding) / 4, rel=1e-5)
    assert not any("log loss" in note for note in evaluation.notes)


def test_notes_speak_of_the_labels_that_they_concern() -> None:
    """All images are a; b was assigned and does not occur; c neither occurs nor was assigned."""
    evaluation = measure_images(stored(three_labels(), [[1, 0, 0]] * 2, [[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]]), rounds=200)
    assert evaluation.notes == (
        "No image has the label b: recall and curves are undefined.",
        "No image has the label c: recall and curves are undefined.",
        "All images have the label a: ROC-AUC is undefined.",
    )


def test_a_label_that_occurs_and_was_never_assigned_is_noted_alone() -> None:
    """Only a, which occurs, has an undefined precision that counts as 0."""
    evaluation = measure_images(stored(three_labels(), [[1, 0, 0], [0, 1, 0]], [[0.3, 0.6, 0.1]] * 2), rounds=200)
    assert evaluation.notes == (
        "No image has the label c: recall and curves are undefined.",
        "The label a was never assigned: its precision is undefined and counts as 0 in the average.",
    )


@pytest.mark.parametrize(
    ("images", "bound", "patients"),
    [
        (2, "100 % (95 % confidence, 2 images)", None),
        (6, "100 % (95 % confidence, 3 patients)", (1, 1, 2, 2, 3, 3)),
        (12, "25 % (95 % confidence, 12 images)", None),
    ],
    ids=["fewer than three images", "three patients", "twelve images"],
)
def test_the_rule_of_three_counts_patients_where_they_are_known(
    images: int, bound: str, patients: tuple[int, ...] | None
) -> None:
    """3 / n, and at most 100 %."""
    scored = binary((1, 0) * (images // 2), (0.9, 0.1) * (images // 2), patients=patients)
    evaluation = measure(make_postprocessing(), scored, rounds=200)
    assert evaluation.notes == (f"All predictions are correct. The true error rate may be up to {bound}.",)


def test_one_wrong_prediction_has_no_upper_bound_note() -> None:
    """The bootstrap shows the error rate itself."""
    evaluation = measure(make_postprocessing(), binary((1, 0, 1), (0.9, 0.1, 0.4)), rounds=200)
    assert evaluation.notes == ()


def test_an_undefined_average_is_none() -> None:
    """No label occurs at all: there is nothing to average."""
    findings = make_postprocessing(("mass",), normal_label="clear", activation="sigmoid")
    evaluation = measure(findings, make_scored([[0], [0]], [[0.1], [0.9]]), rounds=200)
    assert (evaluation.macro_precision, evaluation.macro_recall, evaluation.macro_average_precision) == (None,) * 3
    assert evaluation.label_accuracy == 0.5
