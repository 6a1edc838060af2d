"""Results of a night matched with the ground truth of their images."""

from dataclasses import replace

import numpy as np
import pytest
from scored_images import make_postprocessing

from models.evaluation.production import Result, predictions_with_truth
from models.postprocessing import Postprocessing

CHEST = make_postprocessing(("mass", "nodule"), normal_label="clear", activation="sigmoid")


def result(truth: dict[str, bool], *, image_id: int = 1, patient: str | None = "p", label: str = "clear") -> Result:
    """Build a result with the scores 0.25 and 0.75."""
    return Result(image_id=image_id, patient=patient, label=label, scores=(0.25, 0.75), truth=truth)


@pytest.mark.parametrize(
    ("postprocessing", "truth", "row"),
    [
        (make_postprocessing(), {"nodule": True}, [False, True]),
        (make_postprocessing(), {"nodule": True, "clear": False}, [False, True]),
        (make_postprocessing(), {"nodule": False}, [True, False]),
        (make_postprocessing(), {"clear": True, "fracture": True}, [True, False]),
        (CHEST, {"mass": True}, [True, False]),
        (CHEST, {"mass": True, "nodule": True}, [True, True]),
        (CHEST, {"clear": True}, [False, False]),
        (CHEST, {"nodule": False}, [False, False]),
    ],
)
def test_truth_becomes_labels_of_the_network(
    postprocessing: Postprocessing, truth: dict[str, bool], row: list[bool]
) -> None:
    """A label that is not mentioned is absent, and an image without any finding is normal."""
    predictions, unusable = predictions_with_truth(postprocessing, [result(truth)])
    assert (predictions.truth.tolist(), unusable) == ([row], [])


@pytest.mark.parametrize(
    "truth",
    [{}, {"fracture": True}, {"clear": True, "nodule": True}, {"clear": False, "nodule": False}, {"clear": False}],
)
def test_truth_that_is_missing_or_contradicts_itself_is_left_out(truth: dict[str, bool]) -> None:
    """The id of the image is returned."""
    predictions, unusable = predictions_with_truth(
        make_postprocessing(), [result(truth, image_id=7), result({"nodule": True})]
    )
    assert (len(predictions.truth), unusable) == (1, [7])


def test_an_image_is_normal_only_if_all_findings_are_false() -> None:
    """The truth of one of two findings is unknown, so the image cannot be used."""
    postprocessing = make_postprocessing(("clear", "mass", "nodule"), normal_label="clear")
    partly, wholly = result({"mass": False}, image_id=7), result({"mass": False, "nodule": False})
    results = [replace(one, scores=(0.5, 0.25, 0.25)) for one in (partly, wholly)]
    predictions, unusable = predictions_with_truth(postprocessing, results)
    assert (predictions.truth.tolist(), unusable) == ([[True, False, False]], [7])


def test_results_keep_their_order_beside_the_truth() -> None:
    """Scores and labels stay in order; patients are numbered only if all of them are known."""
    results = [
        result({"nodule": True}, label="nodule", patient="b"),
        result({"clear": True}, patient="a"),
        result({"clear": True}, patient="b"),
    ]
    predictions, _ = predictions_with_truth(make_postprocessing(), results)
    assert (predictions.given.tolist(), predictions.scores.shape) == ([1, 0, 0], (3, 2))
    assert predictions.patients is not None
    assert predictions.patients.tolist() == [1, 0, 1]
    assert (
        predictions_with_truth(make_postprocessing(), [*results, result({"clear": True}, patient=None)])[0].patients
        is None
    )
    assert np.shape(predictions_with_truth(make_postprocessing(), [])[0].scores) == (0, 2)
