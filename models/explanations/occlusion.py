"""Compute which pixels are evidence for a label by occlusion (Zeiler and Fergus, 2014, arXiv:1311.2901).

Occlusion needs only scores, so it works with every runtime. Each patch of the frame is blurred in turn. A patch is
evidence for the label if the score of the label falls.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.runtimes.network import Network

METHOD = "occlusion"
_PARTS = 8
"""A patch is 1/8 as high and as wide as the frame. Neighbouring patches overlap by half, so there are 225 patches."""
_SMALLEST_PATCH = 2
_BATCH = 16
_TINY = 1e-7
"""Scores are clipped to at least this distance from 0 and from 1, so that their log odds are finite."""


def occlusion(network: Network, inputs: NDArray[np.float32], output: int) -> NDArray[np.float32]:
    """Return the evidence for an output, (height, width): how far its log odds fall if a pixel is blurred.

    No value is below 0. `inputs` is one frame, (1, height, width, channels). The value of a pixel is the mean over the
    patches that cover it.
    """
    frame = inputs[0]
    height, width = frame.shape[:2]
    patches = [(rows, columns) for rows in _slices(height) for columns in _slices(width)]
    before = _log_odds(network.batch_scores(inputs)[:, output])[0]
    blurred = _blurred(frame)
    evidence = np.zeros((height, width), np.float32)
    covered = np.zeros((height, width), np.float32)
    for begin in range(0, len(patches), _BATCH):
        part = patches[begin : begin + _BATCH]
        occluded = np.repeat(inputs, len(part), axis=0)
        for image, (rows, columns) in zip(occluded, part, strict=True):
            image[rows, columns] = blurred[rows, columns]
        falls = before - _log_odds(network.batch_scores(occluded)[:, output])
        for fall, (rows, columns) in zip(falls, part, strict=True):
            evidence[rows, columns] += fall
            covered[rows, columns] += 1
    return np.maximum(evidence / covered, 0)


def _slices(side: int) -> list[slice]:
    """Return overlapping parts of one axis that cover it completely."""
    patch = max(side // _PARTS, _SMALLEST_PATCH)
    starts = [*range(0, max(side - patch, 0), max(patch // 2, 1)), max(side - patch, 0)]
    return [slice(start, start + patch) for start in starts]


def _blurred(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the frame without details: a patch of it has no edge that could be taken for a structure."""
    sigma = max(frame.shape[:2]) / _PARTS
    blurred = cv2.GaussianBlur(frame, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return blurred.reshape(frame.shape).astype(np.float32)


def _log_odds(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    clipped = scores.astype(np.float64).clip(_TINY, 1 - _TINY)
    odds: NDArray[np.float32] = (np.log(clipped) - np.log1p(-clipped)).astype(np.float32)
    return odds
