"""The network may work in a thread of its own while the next frames are decoded."""

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
    """None, or the one thread of the network."""
    if not request.param:
        yield None
        return
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_each_image_gets_the_scores_of_its_own_frames(network_thread: Executor | None) -> None:
    """Across micro-batches, whatever the number of frames of an image."""
    inputs = {work_id: make_inputs(frames) for work_id, frames in enumerate([1, 5, 64, 1, 130, 2])}
    batcher = MicroBatcher(Predictor(make_bundle(), SmallDevice(), largest=16), network_thread)
    for work_id, frames in inputs.items():
        batcher.add(work_id, frames)
    scores = batcher.finish()
    assert scores.keys() == inputs.keys()
    for work_id, frames in inputs.items():
        np.testing.assert_allclose(scores[work_id], expected(frames), atol=1e-6)


class PickyDevice(SmallDevice):
    """Has no room for black frames, not even for a single one."""

    def batch_scores(self, inputs: Array) -> Array:
        """Fail where the last frame is black."""
        if not inputs[-1].any():
            raise MemoryError
        return super().batch_scores(inputs)


def test_images_for_which_the_device_has_no_room_are_refused_and_no_others(network_thread: Executor | None) -> None:
    """Not even one frame fits: the images of that lot are named, and the board goes on."""
    batcher = MicroBatcher(Predictor(make_bundle(), PickyDevice(), largest=2), network_thread)
    batcher.add(1, np.zeros((2, 8, 8, 1), np.float32))
    batcher.add(2, make_inputs(1))
    batcher.add(3, make_inputs(1))
    scores = batcher.finish()
    assert batcher.errors.keys() == {1}
    assert scores.keys() == {2, 3}


def test_a_broken_network_ends_the_batch(network_thread: Executor | None) -> None:
    """No image is at fault."""
    batcher = MicroBatcher(
        Predictor(make_bundle(), SmallDevice(capacity=0, error=ValueError), largest=4), network_thread
    )
    batcher.add(1, make_inputs(1))
    with pytest.raises(NetworkBrokenError):
        batcher.finish()
