"""Predictions of images whose intensities are unlike those of the training images."""

import numpy as np
import pytest
from test_models_bundle import make_bundle
from test_worker_predict import SmallDevice

from imaging.spec import InputSpec, Intensity
from models.input_range import InputRange
from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.inference.micro_batcher import MicroBatcher
from worker.inference.predictions import ImagePrediction, collect_predictions
from worker.inference.predictor import Predictor

RANGE = InputRange(percentiles=(50,), low=(0.4,), high=(0.6,), images=20)
SPEC = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="full"))
INSIDE, NEAR_EDGE, OUTSIDE = 0.5, 0.65, 0.9


def predicted(*frames: float) -> str:
    """Return `inside`, `near` or `refused` for an image with frames of these grey values, among other images."""
    bundle = make_bundle(spec=SPEC)
    batcher = MicroBatcher(Predictor(bundle, SmallDevice(), largest=16), input_range=RANGE)
    batcher.add(1, np.full((1, *bundle.spec.shape), INSIDE, np.float32))
    batcher.add(2, np.stack([np.full(bundle.spec.shape, grey, np.float32) for grey in frames]))
    batcher.add(3, np.full((1, *bundle.spec.shape), INSIDE, np.float32))
    predictions = collect_predictions(bundle.postprocessing, batcher)
    for other in (predictions[1], predictions[3]):
        assert isinstance(other, ImagePrediction)
        assert not other.near_edge
    found = predictions[2]
    if isinstance(found, RejectImage):
        assert found.reason is Reason.OUT_OF_DOMAIN
        return "refused"
    assert isinstance(found, ImagePrediction)
    return "near" if found.near_edge else "inside"


@pytest.mark.parametrize(
    ("frames", "outcome"),
    [
        ((INSIDE,), "inside"),
        ((NEAR_EDGE,), "near"),
        ((OUTSIDE,), "refused"),
        ((OUTSIDE,) * 7 + (INSIDE,) * 7, "inside"),
        ((OUTSIDE,) * 8 + (INSIDE,) * 6, "refused"),
        ((OUTSIDE,) * 7 + (NEAR_EDGE,) * 7, "near"),
        ((NEAR_EDGE,) * 2 + (INSIDE,), "near"),
        ((OUTSIDE,) * 40 + (INSIDE,) * 39, "refused"),
    ],
)
def test_more_than_half_of_the_frames_decide(frames: tuple[float, ...], outcome: str) -> None:
    """A dark frame at the start of a cine does not cost its result; the frames may be in several micro-batches."""
    assert predicted(*frames) == outcome


def test_without_a_range_nothing_is_compared() -> None:
    """The bundle does not state intensities, or --any-domain is given."""
    bundle = make_bundle(spec=SPEC)
    batcher = MicroBatcher(Predictor(bundle, SmallDevice(), largest=16))
    batcher.add(1, np.full((1, *bundle.spec.shape), 55.0, np.float32))

    assert isinstance(collect_predictions(bundle.postprocessing, batcher)[1], ImagePrediction)
