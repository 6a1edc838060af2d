"""The comparison of two networks on the same images."""

import pytest
from scored_images import binary_predictions

from models.evaluation.comparison import Comparison, compare
from models.evaluation.measure import measure_images
from models.evaluation.predictions import Predictions


def _compare(first: Predictions, second: Predictions) -> Comparison:
    return compare(first, second, (measure_images(first), measure_images(second)))


def test_agreement_of_two_networks() -> None:
    """Only the second network is right on 6 of 12 images, and the first alone on none: p = 2 / 2^6."""
    nodule = [1] * 6 + [0] * 6
    agreement = _compare(
        binary_predictions(nodule, [0.1] * 12), binary_predictions(nodule, [0.9] * 6 + [0.1] * 6)
    ).agreement
    assert (agreement.both_right, agreement.only_first_right, agreement.only_second_right) == (6, 0, 6)
    assert (agreement.both_wrong, agreement.same_label) == (0, 6)
    assert agreement.mcnemar_p == pytest.approx(2 / 64)
    assert agreement.kappa == pytest.approx(0)  # the first assigns one label only: agreement by chance


def test_the_difference_is_second_minus_first() -> None:
    """The interval contains the difference, and not 0 if the difference is large."""
    nodule = [1] * 50 + [0] * 50
    worse = binary_predictions(nodule, [0.1] * 25 + [0.9] * 25 + [0.1] * 50)
    accuracy = _compare(worse, binary_predictions(nodule, [0.9] * 50 + [0.1] * 50)).differences[0]
    assert (accuracy.figure, accuracy.first, accuracy.second, accuracy.difference) == ("accuracy", 0.75, 1.0, 0.25)
    assert accuracy.interval.low is not None
    assert accuracy.interval.high is not None
    assert 0 < accuracy.interval.low < 0.25 < accuracy.interval.high


def test_a_network_does_not_differ_from_itself() -> None:
    """Resampling is paired: the difference is 0 in every round, and McNemar's p is 1."""
    predictions = binary_predictions([1, 0, 1, 0] * 20, [0.9, 0.2, 0.3, 0.6] * 20)
    comparison = _compare(predictions, predictions)
    assert {(of.difference, of.interval.low, of.interval.high) for of in comparison.differences} == {(0, 0, 0)}
    assert comparison.agreement.mcnemar_p == 1


def test_other_images_cannot_be_compared() -> None:
    """The numbers of images differ."""
    with pytest.raises(ValueError, match="same images"):
        _compare(binary_predictions([1, 0], [0.9, 0.1]), binary_predictions([1], [0.9]))
