"""Score one part of a data set with a network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec
from models.datasets.dataset import Examples
from models.runtimes.network import Network

_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The raw scores of frames, and the true labels of their images."""

    truth: NDArray[np.float32]
    """(images, labels): 1 if the image has the label, else 0."""
    scores: NDArray[np.float32]
    """(frames, labels): the output of the network, neither calibrated nor aggregated."""
    image_of: NDArray[np.int64]
    """(frames,): the index of the image of each frame; the frames of one image are consecutive."""
    patients: NDArray[np.int64] | None
    """(images,): the same number for images of one patient; None if patients are not known."""
    gap_behind: NDArray[np.bool_] | None = None
    """(frames,): whether a slice is missing after this one; None if the images are not stacks of slices."""


def score(network: Network, examples: Examples, *, progress: Callable[[int], object] | None = None) -> Scored:
    """Prepare and score each frame; `progress` is called with the number of frames of each finished batch."""
    spec = network.bundle.spec
    scores = np.empty((len(examples), len(network.bundle.labels)), np.float32)
    for begin in range(0, len(examples), _BATCH):
        rows = np.arange(begin, min(begin + _BATCH, len(examples)))
        scores[rows] = network.batch_scores(examples.inputs(rows, spec))
        if progress is not None:
            progress(len(rows))
    return Scored(
        truth=examples.truth,
        scores=scores,
        image_of=examples.image_of,
        patients=examples.patients,
        gap_behind=examples.gap_behind,
    )


def scored_batches(
    examples: Examples, scored: Scored, spec: InputSpec, progress: Callable[[int], object]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield the inputs of scored examples and their scores, in batches.

    `progress` is called with the number of frames of each finished batch.
    """
    for begin in range(0, len(examples), _BATCH):
        rows = np.arange(begin, min(begin + _BATCH, len(examples)))
        yield examples.inputs(rows, spec), scored.scores[rows]
        progress(len(rows))
