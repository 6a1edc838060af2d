"""`models evaluate` measures series as a worker forms them, and not as the frames of an image."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imaging.dicom_image import Frame
from models.catalogue import find_bundle
from models.datasets.dataset import Examples
from models.datasets.subset import without_frames
from models.evaluation.series_predictions import bundle_predictions
from models.networks.scoring import Scored
from models.series.spec import SeriesSpec

PHANTOM = find_bundle("phantom")
LOW, HIGH = 0.0, 1.0


def scored(*stacks: list[float], gaps: tuple[int, ...] = ()) -> Scored:
    """Return the scores of a nodule in the slices of some stacks; `gaps` are slices behind which others are missing."""
    nodule = np.concatenate([np.array(stack, np.float32) for stack in stacks])
    return Scored(
        truth=np.eye(2, dtype=np.float32)[np.arange(len(stacks)) % 2],
        scores=np.stack([1 - nodule, nodule], axis=1),
        image_of=np.repeat(np.arange(len(stacks)), [len(stack) for stack in stacks]),
        patients=None,
        gap_behind=np.isin(np.arange(len(nodule)), gaps),
    )


def suspicion(scores: Scored, head: Any = None, **spec: Any) -> list[float]:
    """Return the score of a nodule of each stack."""
    bundle = replace(PHANTOM, series=SeriesSpec(**spec))
    return [round(float(score), 4) for score in bundle_predictions(bundle, scores, head).scores[:, 1]]


def test_the_aggregate_is_that_of_the_series() -> None:
    """Two of four slices are suspicious, and they do not follow each other."""
    stacks = scored([HIGH, LOW, HIGH, LOW], [LOW, LOW])
    run = {"aggregate": "run", "count": 2, "thresholds": {"nodule": 1.0}}
    assert suspicion(stacks, aggregate="max") == [1.0, 0.0]
    assert suspicion(stacks, aggregate="mean") == [0.5, 0.0]
    assert suspicion(stacks, aggregate="share", thresholds={"nodule": 0.5}) == [0.5, 0.0]
    assert suspicion(stacks, **run) == [0.5, 0.0]
    assert suspicion(scored([HIGH, HIGH, LOW]), **run) == [1.0]
    assert suspicion(scored([HIGH, HIGH, LOW], gaps=(0,)), **run) == [0.5]
    assert suspicion(stacks, lambda _: np.array([0.25, 0.75], np.float32), aggregate="head") == [0.75, 0.75]


def test_the_threshold_is_that_of_the_series() -> None:
    """A share of a quarter is below a half, although two slices are far above the threshold of a slice."""
    bundle = replace(PHANTOM, series=SeriesSpec(aggregate="share", thresholds={"nodule": 0.5}))
    found = bundle_predictions(bundle, scored([HIGH] + [LOW] * 3, [HIGH] * 3 + [LOW]))
    assert [found.names[label] for label in found.given] == ["clear", "nodule"]
    assert found.postprocessing.thresholds == {"nodule": 0.5}


@pytest.mark.parametrize("of_series", [True, False])
def test_images_are_measured_as_images(of_series: bool) -> None:
    """A bundle of series on single images, and a bundle of images on series."""
    stacks = scored([HIGH, LOW], [LOW, LOW])
    bundle = replace(PHANTOM, series=SeriesSpec(aggregate="mean") if of_series else None)
    found = bundle_predictions(bundle, replace(stacks, gap_behind=None) if of_series else stacks)
    assert found.scores[:, 1].round(3).tolist() == [1.0, 0.0]


def test_a_slice_that_cannot_be_decoded_is_a_gap() -> None:
    """A run ends there, as in a worker; the end of a stack is none."""
    examples = Examples(
        truth=np.ones((2, 1), np.float32),
        image_of=np.array([0, 0, 0, 1, 1, 1]),
        patients=None,
        names=["a", "b"],
        load=lambda _: Frame(index=0, stored=np.zeros((2, 2), np.uint8), bits_stored=8),
        gap_behind=np.array([False, True, False, False, False, False]),
    )
    kept = without_frames(examples, np.array([False, True, False, False, False, True]))
    assert kept.gap_behind is not None
    assert kept.gap_behind.tolist() == [True, False, False, False]
    nothing = without_frames(examples, np.ones(6, bool)).gap_behind
    assert nothing is not None
    assert nothing.tolist() == []
