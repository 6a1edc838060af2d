"""Draw the two abstract pictures: what a person sees, from 0 (black) to 1 (white)."""

from functools import cache
from typing import Any

import numpy as np

Picture = np.ndarray[Any, np.dtype[Any]]

_PATCH = 8
PATCH_COLOURS = (
    (200, 40, 40), (30, 30, 220), (40, 180, 60), (230, 230, 40), (20, 160, 200), (128, 128, 128),
    (250, 120, 10), (90, 20, 120), (10, 10, 10), (240, 240, 240), (60, 100, 30), (180, 140, 210),
)  # fmt: skip


@cache
def grey(rows: int, columns: int, frame: int) -> Picture:
    """Return a slope from a black to a white field; each frame is mirrored in another way."""
    down, across = np.mgrid[0:rows, 0:columns]
    slope = (2 * down / (rows - 1) + across / (columns - 1)) / 3
    picture = np.clip((slope - 0.1) / 0.8, 0, 1)
    return (picture, picture[:, ::-1], picture[::-1])[frame]


@cache
def patch_numbers(rows: int, columns: int, frame: int) -> Picture:
    """Return the number of the coloured patch of each pixel; each frame has the colours in another order."""
    down, across = np.mgrid[0:rows, 0:columns] // _PATCH
    return (down * 5 + across + 4 * frame) % len(PATCH_COLOURS)


@cache
def colours(rows: int, columns: int, frame: int) -> Picture:
    """Return the patches as RGB of 8 bits, (rows, columns, 3)."""
    return np.array(PATCH_COLOURS, np.uint8)[patch_numbers(rows, columns, frame)]


@cache
def inner(rows: int, columns: int) -> Picture:
    """Return a mask without the edges of the patches, across which subsampled chroma is interpolated."""
    down, across = np.mgrid[0:rows, 0:columns] % _PATCH
    middle = (2, 3, 4, 5)
    return np.isin(down, middle) & np.isin(across, middle)
