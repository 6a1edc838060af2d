"""Run micro-batches of few sizes, and smaller ones if the memory of the device is full."""

import numpy as np
import pytest
from numpy.typing import NDArray
from test_models_bundle import make_bundle

from imaging.spec import InputSpec, Intensity
from nightread.errors import ImageError
from nightread.reasons import Reason
from worker.inference.predictor import MICRO_BATCH_SIZES, Predictor, largest_micro_batch, micro_batch_size

Array = NDArray[np.float32]


class SmallDevice:
    """A network whose scores depend on the input alone, on a device that holds `capacity` frames."""

    runtime = "small device 1"

    def __init__(self, capacity: int = 1000, error: type[Exception] | Exception = MemoryError) -> None:
        self.capacity = capacity
        self.error = error
        self.calls: list[int] = []

    def batch_scores(self, inputs: Array) -> Array:
        """Remember the size, and raise the error if the frames do not fit."""
        self.calls.append(len(inputs))
        if len(inputs) > self.capacity:
            raise self.error
        finding = inputs.mean(axis=(1, 2, 3))
        return np.stack([1 - finding, finding], axis=1)


class ResourceExhaustedError(Exception):
    """An error with the class name that TensorFlow uses."""


def make_inputs(count: int) -> Array:
    return np.random.default_rng(count).random((count, 8, 8, 1), np.float32)


def expected(inputs: Array) -> Array:
    return SmallDevice().batch_scores(inputs)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 6, 9, 63, 64, 65, 70, 200, 300])
@pytest.mark.parametrize("largest", [1, 24, 64, 256])
def test_every_count_is_scored_in_order_and_in_known_sizes(count: int, largest: int) -> None:
    """Padding is removed again, and no other size reaches the device."""
    device, inputs = SmallDevice(), make_inputs(count)
    scores = Predictor(make_bundle(), device, largest=largest).scores(inputs)
    np.testing.assert_allclose(scores, expected(inputs).reshape(-1, 2), atol=1e-6)
    assert set(device.calls) <= {*MICRO_BATCH_SIZES, largest}
    assert max(device.calls, default=0) <= largest


@pytest.mark.parametrize(
    ("side", "on_gpu", "frames"), [(128, False, 64), (128, True, 256), (256, True, 256), (257, True, 64)]
)
def test_a_gpu_gets_large_micro_batches_that_fit_into_memory(side: int, frames: int, *, on_gpu: bool) -> None:
    """256 gray frames of 256 x 256 pixels in float32 are 64 MiB."""
    spec = InputSpec(height=side, width=side, channels=1, intensity=Intensity(kind="full"))

    assert largest_micro_batch(spec, on_gpu=on_gpu) == frames


@pytest.mark.parametrize(("waiting", "size"), [(1, 1), (2, 4), (4, 4), (5, 4), (8, 16), (31, 16), (32, 64), (100, 64)])
def test_at_least_half_of_a_micro_batch_is_not_padding(waiting: int, size: int) -> None:
    """Padding never costs more than the frames."""
    assert micro_batch_size(waiting, 64) == size


@pytest.mark.parametrize(
    "error",
    [
        MemoryError,
        ResourceExhaustedError,
        RuntimeError("RESOURCE_EXHAUSTED: 2 GiB"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : BFCArena: Failed to allocate memory for requested"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"),
        RuntimeError("CUDA failure 2: out of memory ; GPU=0"),
    ],
)
def test_a_full_device_gets_smaller_micro_batches_from_then_on(error: type[Exception] | Exception) -> None:
    """The frames of the failed call are scored too, and the smaller size is kept."""
    device, inputs = SmallDevice(capacity=20, error=error), make_inputs(70)
    predictor = Predictor(make_bundle(), device)
    np.testing.assert_allclose(predictor.scores(inputs), expected(inputs), atol=1e-6)
    assert predictor.largest == 16
    device.calls.clear()
    predictor.scores(inputs)
    assert max(device.calls) == 16


def test_a_frame_that_does_not_fit_alone_fails() -> None:
    """The micro-batch cannot become smaller."""
    with pytest.raises(ImageError) as caught:
        Predictor(make_bundle(), SmallDevice(capacity=0)).scores(make_inputs(3))
    assert caught.value.reason is Reason.OUT_OF_MEMORY


def test_other_errors_are_not_taken_for_a_full_device() -> None:
    """Another error is raised and not retried with smaller micro-batches."""
    device = SmallDevice(capacity=0, error=ValueError)
    with pytest.raises(ValueError):  # noqa: PT011 - any message
        Predictor(make_bundle(), device).scores(make_inputs(3))
    assert len(device.calls) == 1


def test_warm_up_runs_each_size_once() -> None:
    """No size is run for the first time during operation."""
    device = SmallDevice()
    Predictor(make_bundle(), device, largest=64).warm_up()
    assert device.calls == [1, 4, 16, 64]
