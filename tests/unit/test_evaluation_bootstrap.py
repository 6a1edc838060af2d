"""Confidence intervals by bootstrap."""

import numpy as np
import pytest
from scored_images import binary_predictions, make_postprocessing
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from models.evaluation.bootstrap import image_weights, resampling, weighted_figures
from models.evaluation.measure import MACRO, measure_images
from models.evaluation.predictions import Predictions, stored_predictions


def _noisy(images: int, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    nodule = rng.integers(0, 2, images)
    scores = np.round(np.clip(rng.normal(0.35 + 0.3 * nodule, 0.2), 0, 1), 2)  # rounded: there are ties
    return binary_predictions(nodule.tolist(), scores.tolist())


def test_weighted_figures_are_those_of_scikit_learn() -> None:
    """An image drawn three times counts as three images; ties in scores count half."""
    predictions = _noisy(200)
    weights = np.random.default_rng(1).integers(0, 4, (1, 200)).astype(float)
    figures = weighted_figures(predictions, weights)
    truth, assigned, scores = predictions.truth[:, 1], predictions.assigned[:, 1], predictions.scores[:, 1]
    assert figures["roc_auc"][0, 1] == pytest.approx(roc_auc_score(truth, scores, sample_weight=weights[0]))
    for name, of in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        assert figures[name][0, 1] == pytest.approx(of(truth, assigned, sample_weight=weights[0]))


def test_weight_1_for_each_image_gives_the_figures_of_the_evaluation() -> None:
    """Bootstrap and evaluation define each figure in the same way."""
    predictions = _noisy(100)
    figures, evaluation = weighted_figures(predictions, np.ones((1, 100))), measure_images(predictions, rounds=200)
    for name in ("accuracy", *(f"macro_{figure}" for figure in MACRO)):
        assert figures[name][0] == pytest.approx(getattr(evaluation, name))


def test_every_round_draws_as_many_patients_as_there_are() -> None:
    """Patients are drawn with replacement, and all images of a drawn patient count."""
    predictions = binary_predictions((1, 0, 1, 0, 1), (0.9, 0.2, 0.8, 0.4, 0.7), patients=(7, 7, 3, 3, 5))
    plan = resampling(predictions, rounds=400, seed=0)
    weights = np.concatenate(list(image_weights(predictions, plan)))
    assert (plan.unit, plan.units, weights.shape) == ("patient", 3, (400, 5))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] + weights[:, 2] + weights[:, 4] == 3).all()


def test_intervals_by_patient_are_wider_where_images_of_a_patient_agree() -> None:
    """Ten equal images per patient are worth one: the interval of 40 patients is about sqrt(10) times wider."""
    few = _noisy(40, seed=5)
    nodule, scores = np.repeat(few.truth[:, 1], 10).astype(int), np.repeat(few.scores[:, 1], 10)
    by_image = measure_images(binary_predictions(nodule.tolist(), scores.tolist()))
    patients = np.repeat(np.arange(40), 10).tolist()
    by_patient = measure_images(binary_predictions(nodule.tolist(), scores.tolist(), patients=patients))
    for name in ("accuracy", "macro_roc_auc"):
        wide, narrow = by_patient.intervals[name], by_image.intervals[name]
        assert wide.high - wide.low > 2 * (narrow.high - narrow.low)  # type: ignore[operator]


def test_the_interval_of_a_share_is_that_of_the_binomial() -> None:
    """Accuracy 0.8 of 400 images: 0.8 +- 1.96 sqrt(0.8 x 0.2 / 400) = 0.761 to 0.839."""
    evaluation = measure_images(binary_predictions([1] * 200 + [0] * 200, [0.9] * 160 + [0.1] * 200 + [0.9] * 40))
    assert evaluation.accuracy == 0.8
    assert evaluation.intervals["accuracy"].low == pytest.approx(0.761, abs=0.006)
    assert evaluation.intervals["accuracy"].high == pytest.approx(0.839, abs=0.006)


def test_the_same_seed_gives_the_same_intervals() -> None:
    """Another seed gives other intervals."""
    predictions = _noisy(60)
    assert measure_images(predictions, seed=1) == measure_images(predictions, seed=1)
    assert measure_images(predictions, seed=1).intervals != measure_images(predictions, seed=2).intervals


def test_large_data_take_fewer_rounds() -> None:
    """1000 rounds over two million images would take minutes."""
    assert resampling(binary_predictions([0, 1], [0.1, 0.9]), rounds=1000, seed=0).rounds == 1000
    large = stored_predictions(
        make_postprocessing(), truth=np.eye(2)[[0, 1] * 10**6], scores=np.ones((2 * 10**6, 2)), given=[]
    )
    assert resampling(large, rounds=1000, seed=0).rounds == 200
