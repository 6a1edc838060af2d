"""What a network says of a part of a data set, beside the truth."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.datasets.dataset import Examples
from models.networks.network import Network

_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Raw scores of frames and the truth of their images."""

    truth: NDArray[np.float32]
    """(images, labels): 1 where the image has the label, else 0."""
    scores: NDArray[np.float32]
    """(frames, labels), as the network gave them: neither calibrated nor aggregated."""
    image_of: NDArray[np.int64]
    """(frames,): which image each frame belongs to; frames of one image follow each other."""
    patients: NDArray[np.int64] | None
    """(images,): the same number for images of one patient; None where patients are not known."""


def score(network: Network, examples: Examples, *, progress: Callable[[int], object] | None = None) -> Scored:
    """Prepare and score every frame; `progress` hears of each lot of frames that is done."""
    spec = network.bundle.spec
    scores = np.empty((len(examples), len(network.bundle.labels)), np.float32)
    for begin in range(0, len(examples), _BATCH):
        rows = np.arange(begin, min(begin + _BATCH, len(examples)))
        scores[rows] = network.batch_scores(examples.inputs(rows, spec))
        if progress is not None:
            progress(len(rows))
    return Scored(truth=examples.truth, scores=scores, image_of=examples.image_of, patients=examples.patients)
