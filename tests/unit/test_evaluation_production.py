"""Results of a night beside what became known of their images."""

from dataclasses import replace

import numpy as np
import pytest
from scored_images import make_postprocessing

from models.evaluation.production import Result, judge_results
from models.postprocessing import Postprocessing

CHEST = make_postprocessing(("mass", "nodule"), normal_label="clear", activation="sigmoid")


def result(truth: dict[str, bool], *, image_id: int = 1, patient: str | None = "p", label: str = "clear") -> Result:
    """An image whose network was rather sure of what its second label says."""
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
    """What is not mentioned is absent, and an image without any finding is normal."""
    judged, unusable = judge_results(postprocessing, [result(truth)])
    assert (judged.truth.tolist(), unusable) == ([row], [])


@pytest.mark.parametrize(
    "truth",
    [{}, {"fracture": True}, {"clear": True, "nodule": True}, {"clear": False, "nodule": False}, {"clear": False}],
)
def test_truth_that_says_nothing_or_contradicts_itself_is_left_out(truth: dict[str, bool]) -> None:
    """By the image's id."""
    judged, unusable = judge_results(make_postprocessing(), [result(truth, image_id=7), result({"nodule": True})])
    assert (len(judged.truth), unusable) == (1, [7])


def test_one_finding_denied_of_several_does_not_make_an_image_normal() -> None:
    """Nobody said anything of the other one."""
    postprocessing = make_postprocessing(("clear", "mass", "nodule"), normal_label="clear")
    partly, wholly = result({"mass": False}, image_id=7), result({"mass": False, "nodule": False})
    results = [replace(one, scores=(0.5, 0.25, 0.25)) for one in (partly, wholly)]
    judged, unusable = judge_results(postprocessing, results)
    assert (judged.truth.tolist(), unusable) == ([[True, False, False]], [7])


def test_what_the_network_said_stays_beside_the_truth() -> None:
    """Scores and labels in order; patients are told apart only where all are known."""
    results = [
        result({"nodule": True}, label="nodule", patient="b"),
        result({"clear": True}, patient="a"),
        result({"clear": True}, patient="b"),
    ]
    judged, _ = judge_results(make_postprocessing(), results)
    assert (judged.given.tolist(), judged.scores.shape) == ([1, 0, 0], (3, 2))
    assert judged.patients is not None
    assert judged.patients.tolist() == [1, 0, 1]
    assert judge_results(make_postprocessing(), [*results, result({"clear": True}, patient=None)])[0].patients is None
    assert np.shape(judge_results(make_postprocessing(), [])[0].scores) == (0, 2)
