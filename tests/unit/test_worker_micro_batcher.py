"""Score frames of many images together, with and without a thread for the network."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest
from test_models_bundle import make_bundle
from test_worker_predict import Array, SmallDevice, expected, make_inputs

from worker.errors import NetworkBrokenError
from worker.inference.micro_batcher import MicroBatcher
from worker.inference.predictor import Predictor


@pytest.fixture(params=[False, True], ids=["in turns", "ahead"])
def network_thread(request: pytest.FixtureRequest) -> Iterator[Executor | None]:
    """Return None, or an executor with the one thread of the network."""
    if not request.param:
        yield None
        return
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_each_image_gets_the_scores_of_its_own_frames(network_thread: Executor | None) -> None:
    """Images may have any number of frames, and micro-batches may contain frames of several images."""
    inputs = {work_id: make_inputs(frames) for work_id, frames in enumerate([1, 5, 64, 1, 130, 2])}
    batcher = MicroBatcher(Predictor(make_bundle(), SmallDevice(), largest=16), network_thread)
    for work_id, frames in inputs.items():
        batcher.add(work_id, frames)
    scores = batcher.finish()
    assert scores.keys() == inputs.keys()
    for work_id, frames in inputs.items():
        np.testing.assert_allclose(scores[work_id], expected(frames), atol=1e-6)


class PickyDevice(SmallDevice):
    """A device without memory for black frames, not even for a single one."""

    def batch_scores(self, inputs: Array) -> Array:
        """Raise MemoryError if the last frame is black."""
        if not inputs[-1].any():
            raise MemoryError
        return super().batch_scores(inputs)


def test_only_images_that_exceed_the_device_memory_get_an_error(network_thread: Executor | None) -> None:
    """If not even one frame fits, the images of that group get an error and the next group is scored."""
    batcher = MicroBatcher(Predictor(make_bundle(), PickyDevice(), largest=2), network_thread)
    batcher.add(1, np.zeros((2, 8, 8, 1), np.float32))
    batcher.add(2, make_inputs(1))
    batcher.add(3, make_inputs(1))
    scores = batcher.finish()
    assert batcher.errors.keys() == {1}
    assert scores.keys() == {2, 3}


def test_a_broken_network_ends_the_batch(network_thread: Executor | None) -> None:
    """No image gets an error of its own."""
    batcher = MicroBatcher(
        Predictor(make_bundle(), SmallDevice(capacity=0, error=ValueError), largest=4), network_thread
    )
    batcher.add(1, make_inputs(1))
    with pytest.raises(NetworkBrokenError):
        batcher.finish()
