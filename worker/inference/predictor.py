"""Run a network in micro-batches of a few fixed sizes. If memory is short, the micro-batches become smaller."""

import logging
from math import prod
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec
from models.bundle import Bundle
from models.runtimes.load import load_network
from nightread.errors import RetryImage
from nightread.reasons import Reason
from nightread.runtime_names import AUTO

MICRO_BATCH_SIZES = (1, 4, 16, 64, 256)
"""Sizes in frames. A Predictor uses no size above its `largest`; workers use 256 on GPUs only.

There are few sizes, because each runtime traces, compiles and tunes each of them at its start. More sizes would need
less padding, but more calls, which would take about as much time."""

_MOST_WAITING_BYTES = 64 * 1024**2
_OUT_OF_MEMORY_ERRORS = frozenset({"ResourceExhaustedError", "OutOfMemoryError"})
"""Names of the error classes of TensorFlow and PyTorch. The classes cannot be imported if the libraries are absent."""
_OUT_OF_MEMORY_TEXTS = (
    "RESOURCE_EXHAUSTED",  # XlaRuntimeError of JAX
    "Failed to allocate memory",  # RuntimeException of ONNX Runtime, from its arena (core/framework/bfc_arena.cc)
    "std::bad_alloc",  # the same, if the C++ library itself could not allocate
    "out of memory",  # CUDA's own words, which ONNX Runtime passes on: `CUDA failure 2: out of memory`
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

log = logging.getLogger(__name__)

Inputs = NDArray[np.float32]
Scores = NDArray[np.float32]


class BatchNetwork(Protocol):
    """A network that scores one micro-batch: the part of models.runtimes.network.Network that a Predictor uses."""

    @property
    def runtime(self) -> str:
        """Return the name and version of the runtime that runs the network."""

    def batch_scores(self, inputs: Inputs) -> Scores:
        """Return scores (n, labels) float32 of inputs (n, height, width, channels) float32."""


class Predictor:
    """Scores any number of prepared frames with one network, in micro-batches that fit into the device's memory."""

    def __init__(self, bundle: Bundle, network: BatchNetwork, *, largest: int = 64) -> None:
        """Create a predictor. `largest` is the largest micro-batch in frames (`largest_micro_batch`)."""
        self.bundle = bundle
        self.network = network
        self.largest = largest

    @classmethod
    def load(cls, bundle: Bundle, runtime: str = AUTO, *, on_gpu: bool = False, largest: int = 64) -> Self:
        """Load the network of the bundle and warm it up. Raises StopWork if the bundle cannot be used.

        models.runtimes.load.load_network explains `runtime` and `on_gpu`.
        """
        predictor = cls(bundle, load_network(bundle, runtime, on_gpu=on_gpu), largest=largest)
        predictor.warm_up()
        return predictor

    def warm_up(self) -> None:
        """Run each size once, so that tracing does not delay the first images, and find the largest size that fits."""
        for size in MICRO_BATCH_SIZES:
            if size <= self.largest:
                self.scores(np.zeros((size, *self.bundle.spec.shape), np.float32))

    def scores(self, inputs: Inputs) -> Scores:
        """Return scores (n, labels) float32 of prepared frames (n, height, width, channels) float32.

        If the device runs out of memory, the largest micro-batch is halved permanently and the frames are run again.
        Raises RetryImage(out_of_memory) if not even one frame fits.
        """
        scores = np.empty((len(inputs), len(self.bundle.labels)), np.float32)
        done = 0
        while done < len(inputs):
            size = micro_batch_size(len(inputs) - done, self.largest)
            taken = inputs[done : done + size]
            try:
                scores[done : done + len(taken)] = self.network.batch_scores(_padded(taken, size))[: len(taken)]
            except Exception as error:
                if not _is_out_of_memory(error):
                    raise
                self._halve_micro_batches(size)
                continue
            done += len(taken)
        return scores

    def _halve_micro_batches(self, size: int) -> None:
        if size == 1:
            raise RetryImage(Reason.OUT_OF_MEMORY)
        self.largest = size // 2
        log.warning("out of memory: %s now runs at most %d frames at once", self.bundle.reference, self.largest)


def largest_micro_batch(spec: InputSpec, *, on_gpu: bool) -> int:
    """Return the largest micro-batch in frames: 256 on GPUs, and 64 on CPUs, whose cache cannot hold a larger one.

    On a GPU it is also 64 if 256 prepared frames, which wait in the memory of the host, would take more than 64 MiB.
    """
    large = MICRO_BATCH_SIZES[-1]
    fits = large * prod(spec.shape) * np.dtype(np.float32).itemsize <= _MOST_WAITING_BYTES
    return large if on_gpu and fits else MICRO_BATCH_SIZES[-2]


def micro_batch_size(waiting: int, largest: int) -> int:
    """Return the size of the next micro-batch for this number of waiting frames.

    It is the smallest size that holds all waiting frames, if they fill at least half of it. Otherwise it is the largest
    size that they fill.
    """
    sizes = [size for size in MICRO_BATCH_SIZES if size < largest] + [largest]
    fitting = max(size for size in sizes if size <= max(waiting, 1))
    padded = min((size for size in sizes if size >= waiting), default=fitting)
    return padded if padded <= 2 * waiting else fitting


def _padded(taken: Inputs, size: int) -> Inputs:
    if len(taken) == size:
        return taken
    padded = np.zeros((size, *taken.shape[1:]), np.float32)
    padded[: len(taken)] = taken
    return padded


def _is_out_of_memory(error: Exception) -> bool:
    known = isinstance(error, MemoryError) or type(error).__name__ in _OUT_OF_MEMORY_ERRORS
    return known or any(text in str(error) for text in _OUT_OF_MEMORY_TEXTS)
