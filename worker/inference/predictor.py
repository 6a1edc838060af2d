"""A loaded network on the hot path: micro-batches of few sizes, warm-up, out-of-memory healing."""

import logging
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.networks.network import load_network
from nightread.errors import RetryImage
from nightread.reasons import Reason

SIZES = (1, 4, 16, 64, 256)
"""Few, so that nothing is traced, compiled or tuned again at night; four times apart, so that a call costs about as
much as the padding that it saves."""

_MEMORY_ERRORS = frozenset({"ResourceExhaustedError", "OutOfMemoryError"})
"""TensorFlow and PyTorch, by name: at most one is installed. JAX says RESOURCE_EXHAUSTED in an XlaRuntimeError."""

log = logging.getLogger(__name__)

Inputs = NDArray[np.float32]
Scores = NDArray[np.float32]


class BatchNetwork(Protocol):
    """What predicts one micro-batch: models.networks.network.Network."""

    def batch_scores(self, inputs: Inputs) -> Scores:
        """Scores (n, labels) of inputs (n, height, width, channels)."""


class Predictor:
    """Scores any number of prepared frames with one network, in micro-batches that fit the device."""

    def __init__(self, bundle: Bundle, network: BatchNetwork, *, largest: int = 64) -> None:
        """`largest` micro-batch: 64 is the fastest on CPUs, where more leaves the cache; 256 fills a GPU."""
        self.bundle = bundle
        self.network = network
        self.largest = largest

    @classmethod
    def load(cls, bundle: Bundle, *, largest: int = 64) -> Self:
        """Load the bundle's network and warm it up. Raises StopWork where it cannot be used."""
        predictor = cls(bundle, load_network(bundle), largest=largest)
        predictor.warm_up()
        return predictor

    def warm_up(self) -> None:
        """Run each size once, so that the first images do not pay for tracing; finds the largest that fits."""
        for size in SIZES:
            if size <= self.largest:
                self.scores(np.zeros((size, *self.bundle.spec.shape), np.float32))

    def scores(self, inputs: Inputs) -> Scores:
        """Scores (n, labels) float32 of prepared frames (n, height, width, channels) float32.

        Where the device runs out of memory the largest micro-batch is halved for good and the rest goes on with it.
        Raises RetryImage(out_of_memory) when not even one frame fits.
        """
        scores = np.empty((len(inputs), len(self.bundle.labels)), np.float32)
        done = 0
        while done < len(inputs):
            size = micro_batch(len(inputs) - done, self.largest)
            taken = inputs[done : done + size]
            try:
                scores[done : done + len(taken)] = self.network.batch_scores(_padded(taken, size))[: len(taken)]
            except Exception as error:
                if not _out_of_memory(error):
                    raise
                self._shrink(size)
                continue
            done += len(taken)
        return scores

    def _shrink(self, size: int) -> None:
        if size == 1:
            raise RetryImage(Reason.OUT_OF_MEMORY)
        self.largest = size // 2
        log.warning("out of memory: micro-batches of %s are now at most %d", self.bundle.reference, self.largest)


def micro_batch(waiting: int, largest: int) -> int:
    """The size to run next: a size that fills up, or the next larger one where at least half of it is filled."""
    sizes = [size for size in SIZES if size < largest] + [largest]
    fitting = max(size for size in sizes if size <= max(waiting, 1))
    padded = min((size for size in sizes if size >= waiting), default=fitting)
    return padded if padded <= 2 * waiting else fitting


def _padded(taken: Inputs, size: int) -> Inputs:
    if len(taken) == size:
        return taken
    padded = np.zeros((size, *taken.shape[1:]), np.float32)
    padded[: len(taken)] = taken
    return padded


def _out_of_memory(error: Exception) -> bool:
    known = isinstance(error, MemoryError) or type(error).__name__ in _MEMORY_ERRORS
    return known or "RESOURCE_EXHAUSTED" in str(error)
