"""Pack the intensities of a prepared input into one number: five percentiles of 8 bits each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (5, 25, 50, 75, 95)
WHITE = 255
"""The level of a white pixel; 0 is black."""
_SHIFTS = np.arange(len(PERCENTILES) - 1, -1, -1, dtype=np.int64) * 8

Levels = NDArray[np.uint8]
"""(images, percentiles): 0 is black and 255 is white."""


def pack(levels: Levels) -> list[int]:
    """Return one number per image, with the lowest percentile in its highest bits."""
    packed: list[int] = (levels.astype(np.int64) << _SHIFTS).sum(axis=1).tolist()
    return packed


def unpack(packed: Sequence[int | None]) -> tuple[Levels, NDArray[np.bool_]]:
    """Return two arrays: the levels, (images, percentiles), and for each image whether it has levels, (images,)."""
    numbers = np.array([-1 if number is None else number for number in packed], np.int64)
    levels = ((numbers[:, None] >> _SHIFTS) & WHITE).astype(np.uint8)
    return levels, numbers >= 0
