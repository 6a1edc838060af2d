"""The scores of slices become those of a series, by hand-computed cases."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.postprocessing import Postprocessing
from models.series.aggregates import StackResult, longest_run, stack_result
from models.series.spec import SeriesSpec

SIGMOID = Postprocessing(
    labels=("a", "b"),
    normal_label="none",
    activation="sigmoid",
    thresholds={"a": 0.5, "b": 0.5},
    temperature=1,
    aggregate="max",
)
SOFTMAX = Postprocessing(
    labels=("clear", "nodule"),
    normal_label="clear",
    activation="softmax",
    thresholds={"nodule": 0.5},
    temperature=1,
    aggregate="max",
)


def scored(*rows: tuple[float, float]) -> NDArray[np.float32]:
    """Return scores of slices in order."""
    return np.array(rows, np.float32)


def nodules(*scores: float) -> NDArray[np.float32]:
    """Return softmax scores of slices with these scores of a nodule."""
    return scored(*((1 - score, score) for score in scores))


def result(scores: NDArray[np.float32], of: Postprocessing = SOFTMAX, **spec: Any) -> StackResult:
    """Return the result of a stack."""
    return stack_result(SeriesSpec(**spec), of, scores)


@pytest.mark.parametrize(
    ("aggregate", "expected"), [("max", [0.75, 0.5]), ("mean", [0.5, 0.25]), ("top_k", [0.625, 0.375])]
)
def test_sigmoid_labels_are_aggregated_one_by_one(aggregate: str, expected: list[float]) -> None:
    """The highest scores of two labels may lie in different slices."""
    scores = scored((0.75, 0.0), (0.5, 0.25), (0.25, 0.5))
    found = result(scores, SIGMOID, aggregate=aggregate, count=2)
    assert found.result.scores == expected


def test_softmax_labels_come_from_whole_slices() -> None:
    """The two most suspicious slices of three."""
    found = result(nodules(0.25, 0.75, 0.5), aggregate="top_k", count=2)
    assert (found.result.label, found.result.score) == ("nodule", 0.625)
    assert found.result.scores == [0.375, 0.625]


def test_more_slices_than_there_are_means_all() -> None:
    """A short stack has a mean."""
    assert result(nodules(0.25, 0.75), aggregate="top_k", count=9).result.scores == [0.5, 0.5]


def test_a_share_counts_slices() -> None:
    """Its threshold is one of shares; the normal label gets the rest."""
    spec = {"aggregate": "share", "above": 0.5, "thresholds": {"nodule": 0.25}}
    found = result(nodules(0.5, 0.1, 0.1, 0.1), **spec)
    assert (found.result.label, found.result.scores, found.suspicion) == ("nodule", [0.75, 0.25], 0.25)


def test_a_run_is_measured_in_slices() -> None:
    """Three in a row of four that are asked for."""
    spec = {"aggregate": "run", "count": 4, "thresholds": {"nodule": 1}}
    found = result(nodules(0.9, 0.1, 0.6, 0.8, 0.7, 0.1), **spec)
    assert (found.result.label, found.result.scores) == ("clear", [0.25, 0.75])
    assert found.evidence == (3, 4, 2)


def test_the_longest_run_ends_at_a_gap() -> None:
    """The first of equal ones is meant."""
    above = np.array([True, True, False, True, True, True])
    assert longest_run(above) == (3, 6)
    assert longest_run(above, gaps=[3]) == (0, 2)
    assert longest_run(np.zeros(3, bool)) == (0, 0)


def test_evidence_of_a_normal_series_is_its_most_suspicious_slice() -> None:
    """So that a person looks there first."""
    found = result(nodules(0.1, 0.3, 0.2), aggregate="max")
    assert (found.result.label, found.evidence) == ("clear", (1,))
    assert found.by_slice == pytest.approx([0.1, 0.3, 0.2])


def test_a_head_gets_the_scores_in_order() -> None:
    """Its result is judged by the thresholds of the series."""
    seen = []

    def head(scores: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(scores.tolist())
        return np.array([0.75, 0.25], np.float32)

    spec = SeriesSpec(aggregate="head", thresholds={"nodule": 0.25})
    found = stack_result(spec, SOFTMAX, nodules(0.5, 0.25), head=head)
    assert (found.result.label, found.result.score) == ("nodule", 0.25)
    assert seen == [[[0.5, 0.5], [0.75, 0.25]]]
    with pytest.raises(ValueError, match="not loaded"):
        stack_result(spec, SOFTMAX, nodules(0.5))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"aggregate": "median"}, "aggregate is 'median'"),
        ({"aggregate": "max", "bad_slice": "half"}, "bad_slice is 'half'"),
        ({"aggregate": "max", "count": 0}, "count is 0"),
        ({"aggregate": "max", "above": 1.5}, "above must be between 0 and 1"),
    ],
)
def test_values_that_no_series_can_have_are_refused(values: dict[str, Any], message: str) -> None:
    """With the name of the field."""
    with pytest.raises(ValueError, match=message):
        SeriesSpec(**values)


def test_a_threshold_must_name_a_finding() -> None:
    """And those that count slices need one for each."""
    with pytest.raises(ValueError, match="names mass"):
        SeriesSpec(aggregate="max", thresholds={"mass": 0.5}).check(frozenset({"nodule"}))
    with pytest.raises(ValueError, match="must name nodule"):
        SeriesSpec(aggregate="run").check(frozenset({"nodule"}))


def test_a_spec_survives_json() -> None:
    """Also its rules."""
    spec = SeriesSpec(aggregate="run", thresholds={"nodule": 1.0})
    assert SeriesSpec.from_json(spec.to_json()) == spec
    narrow = replace(spec, rules=replace(spec.rules, spacing_mm=(0.5, 3.0), orientation="axial"))
    assert SeriesSpec.from_json(narrow.to_json()) == narrow
