"""Check the length of a row: Rows and Columns may be exchanged, and then the picture is sheared beyond recognition."""

import numpy as np

from imaging.array import Array

_SAMPLED_ROWS, _SAMPLED_COLUMNS = 8, 512
_LEAST_SIDE = 16
_UNRELATED, _RELATED, _NEARER = 0.05, 0.25, 0.5
"""Pixels one below the other are unrelated if they differ by this share of the range. Rows and Columns are exchanged if
the pixels that are then one below the other differ by less than a quarter of that, and by less than half of what pixels
half as far apart differ: the pixels of a row of a striped picture differ little at any distance."""


def sides_are_exchanged(pixels: Array) -> bool:
    """Return whether a grey frame of shape (rows, columns) clearly has rows as long as its columns are said to be."""
    rows, columns = pixels.shape
    if rows == columns or min(rows, columns) < _LEAST_SIDE:
        return False
    flat, width = pixels.reshape(-1), min(columns, _SAMPLED_COLUMNS)
    last = flat.size - max(rows, columns) - width
    starts = np.linspace(0, last, _SAMPLED_ROWS).astype(np.intp)
    places = starts[:, None] + np.arange(width)
    here = flat[places].astype(np.float64)
    span = float(np.ptp(here))
    below, if_exchanged, nearer = (
        float(np.abs(flat[places + step] - here).mean()) for step in (columns, rows, rows // 2)
    )
    return below > _UNRELATED * span and 0 < if_exchanged < min(_RELATED * below, _NEARER * nearer)
