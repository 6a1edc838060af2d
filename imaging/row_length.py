"""Check the length of a row: Rows and Columns may be exchanged, and then the picture is sheared beyond recognition."""

import numpy as np

from imaging.array import Array

_SAMPLED_ROWS, _SAMPLED_COLUMNS = 8, 512
_LEAST_SIDE = 16
_UNRELATED, _RELATED, _NEARER = 0.05, 0.25, 0.5
"""Pixels one below the other are unrelated if they differ by this share of the range. Rows and Columns are exchanged if
the pixels that are then one below the other differ by less than a quarter of that, and by less than half of what pixels
half as far apart differ: the pixels of a row of a striped picture differ little at any distance."""
_ENDS = 0.4
"""Up to half of the ends of rows may be ends in both readings, where neighbours in the file are unrelated anyway."""


def sides_are_exchanged(pixels: Array) -> bool:
    """Return whether a grey frame of shape (rows, columns) clearly has rows as long as its columns are said to be."""
    rows, columns = pixels.shape
    if rows == columns or min(rows, columns) < _LEAST_SIDE:
        return False
    flat, width = pixels.reshape(-1), min(columns, _SAMPLED_COLUMNS)
    starts = np.linspace(0, flat.size - max(rows, columns) - width, _SAMPLED_ROWS).astype(np.intp)

    def some(step: int) -> Array:
        return np.stack([flat[start + step : start + step + width] for start in starts]).astype(np.float64)

    here = some(0)
    below = float(np.abs(some(columns) - here).mean())
    if not below > _UNRELATED * float(np.ptp(here)):
        return False
    if_exchanged, nearer = (float(np.abs(some(step) - here).mean()) for step in (rows, rows // 2))
    related = _RELATED * below
    if not 0 < if_exchanged < min(related, _NEARER * nearer):
        return False
    # In a checkerboard, a comb of lines or two equal pictures side by side, neighbours in the file are unrelated too.
    beside = float(np.abs(np.diff(here)).mean())
    across_ends = np.abs(pixels[1:, 0].astype(np.float64) - pixels[:-1, -1])
    return max(beside, float(np.quantile(across_ends, _ENDS))) < related
