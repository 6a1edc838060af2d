"""Precision and recall, by hand."""

from models.evaluation.found import evaluate


def test_counts_by_hand() -> None:
    """Three of four given are right, three of five present are found."""
    pairs = [("n", "n")] * 3 + [("n", "c")] + [("n", None)] + [("c", "n")] + [("c", "c")] * 4
    result = evaluate(pairs, finding="n")
    assert (result.images, result.precision, result.recall) == (10, 0.75, 0.6)
    assert result.confusion == {"c": {"c": 4, "n": 1}, "n": {"c": 1, "n": 3, "none": 1}}


def test_nothing_given_and_nothing_present() -> None:
    """Shares of nothing are 1: nothing was wrong, nothing was missed."""
    result = evaluate([("c", "c")], finding="n")
    assert (result.precision, result.recall) == (1.0, 1.0)
