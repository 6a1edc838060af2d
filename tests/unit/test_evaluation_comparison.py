"""Two networks on the same images."""

import pytest
from scored_images import judged_binary

from models.evaluation.comparison import Comparison, compare
from models.evaluation.judged import Judged
from models.evaluation.measure import measure_images


def _compare(first: Judged, second: Judged) -> Comparison:
    return compare(first, second, (measure_images(first), measure_images(second)))


def test_who_is_right_where() -> None:
    """Of 12 images the second gets 6 right that the first gets wrong, and none the other way round: p = 2 / 2^6."""
    nodule = [1] * 6 + [0] * 6
    agreement = _compare(judged_binary(nodule, [0.1] * 12), judged_binary(nodule, [0.9] * 6 + [0.1] * 6)).agreement
    assert (agreement.both_right, agreement.only_first_right, agreement.only_second_right) == (6, 0, 6)
    assert (agreement.both_wrong, agreement.same_label) == (0, 6)
    assert agreement.mcnemar_p == pytest.approx(2 / 64)
    assert agreement.kappa == pytest.approx(0)  # one gives a single label: no more agreement than by chance


def test_the_difference_is_second_minus_first() -> None:
    """And its interval holds it, without 0 where it is large."""
    nodule = [1] * 50 + [0] * 50
    worse = judged_binary(nodule, [0.1] * 25 + [0.9] * 25 + [0.1] * 50)
    accuracy = _compare(worse, judged_binary(nodule, [0.9] * 50 + [0.1] * 50)).differences[0]
    assert (accuracy.figure, accuracy.first, accuracy.second, accuracy.difference) == ("accuracy", 0.75, 1.0, 0.25)
    assert accuracy.interval.low is not None
    assert accuracy.interval.high is not None
    assert 0 < accuracy.interval.low < 0.25 < accuracy.interval.high


def test_the_same_network_twice() -> None:
    """Paired resampling: no difference in any round; and nothing for McNemar to count."""
    judged = judged_binary([1, 0, 1, 0] * 20, [0.9, 0.2, 0.3, 0.6] * 20)
    comparison = _compare(judged, judged)
    assert {(of.difference, of.interval.low, of.interval.high) for of in comparison.differences} == {(0, 0, 0)}
    assert comparison.agreement.mcnemar_p == 1


def test_other_images_cannot_be_compared() -> None:
    """Pairs need partners."""
    with pytest.raises(ValueError, match="same images"):
        _compare(judged_binary([1, 0], [0.9, 0.1]), judged_binary([1], [0.9]))
