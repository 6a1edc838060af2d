"""Find whether the samples of uncompressed colours lie pixel by pixel or plane by plane (PS3.3 C.7.6.3.1.3).

Programs that decompress or convert a file often leave PlanarConfiguration as it was. The right order is smooth: in the
wrong one, neighbours belong to other colours or to distant parts of the picture.
"""

from typing import NamedTuple

import numpy as np

from imaging.array import Array
from imaging.pixel_layout import PixelLayout

_SMOOTHER, _MUCH_SMOOTHER, _NOT_ROUGHER = 0.8, 0.5, 1.6
_MANY_VALUES = 32
_SAMPLED_ROWS, _SAMPLED_COLUMNS = 16, 512
_NEARLY_EQUAL = 2
"""Samples of a grey pixel differ by at most this much, on a scale of 256."""
_HARDLY = 0.05
_UNEVEN = 0.618
"""Rows at multiples of this share of the picture lie unevenly: they do not all meet the same line of a pattern."""
_LEAST_SIDE = 16
_COLOURS, _HALF = 3, 2
_PAIR = 4
"""Two pixels of 4:2:2 have four samples: Y Y Cb Cr."""


class _Roughness(NamedTuple):
    """The sums of the differences between neighbours in a row, and between neighbours in a column."""

    across: int
    down: int

    def is_far_below(self, other: "_Roughness") -> bool:
        """Return whether this is less than half of the other in both directions."""
        return self.across < _MUCH_SMOOTHER * other.across and self.down < _MUCH_SMOOTHER * other.down


def is_by_plane(words: Array, layout: PixelLayout) -> bool:
    """Return whether the samples of a colour frame lie plane by plane.

    `words` are all samples of one frame in the order of the file. PlanarConfiguration decides unless the other order
    shows more grey pixels, or hardly any pixels are grey, and is clearly smoother or shows the same noise in all
    colours. Planes that are far smoother need no grey. For 4:2:2, whose samples always lie by pixel, only the pixels
    decide.
    """
    if layout.floating or min(layout.rows, layout.columns) < _LEAST_SIDE:
        return layout.planar and not layout.subsampled
    if layout.subsampled:
        by_pixel, by_plane = _roughness(words, layout, _HALF, _PAIR)
        return by_plane.across < _SMOOTHER * by_pixel.across and by_plane.down < _SMOOTHER * by_pixel.down
    by_pixel, by_plane = _roughness(words, layout, _COLOURS, _COLOURS)
    said, other = (by_plane, by_pixel) if layout.planar else (by_pixel, by_plane)
    if sum(other) >= _NOT_ROUGHER * sum(said):
        return layout.planar
    if by_plane.is_far_below(by_pixel):
        return True
    greys = grey_shares(words, layout)
    said_grey, other_grey = greys[::-1] if layout.planar else greys
    # Grey stripes are smooth in both orders, and all of their pixels are grey in both.
    if other_grey <= said_grey and max(greys) >= _HARDLY:
        return layout.planar
    refuted = _is_smoother(other, said, layout) or _change_together(words, layout)
    return layout.planar is not refuted


def _is_smoother(other: _Roughness, said: _Roughness, layout: PixelLayout) -> bool:
    """Return whether the other order is clearly smoother; planes must be smoother in both directions.

    Nearly equal samples of a pixel are smoother than noise or lines, but only along the row.
    """
    if not layout.planar and not all(off <= _SMOOTHER * off_said for off, off_said in zip(other, said, strict=True)):
        return False
    return sum(other) < _SMOOTHER * sum(said)


def _roughness(words: Array, layout: PixelLayout, samples: int, step: int) -> tuple[_Roughness, _Roughness]:
    """Return the differences between neighbours if the samples lie by pixel, and if they lie by plane.

    A row of the file has `samples` times as many samples as the picture has columns, and `step` samples lie between
    two samples of one colour. By plane, it consists of `samples` rows of the picture.
    """
    columns = layout.columns
    rows = words.reshape(layout.rows, samples * columns)
    # The first half of 4:2:2 by plane is luminance.
    last = layout.rows // samples if samples == _HALF else layout.rows
    pick = (np.arange(_SAMPLED_ROWS) * _UNEVEN % 1 * (last - 1)).astype(np.intp)
    width = min(columns, _SAMPLED_COLUMNS) - step
    here, below = rows[pick].astype(np.int64), rows[pick + 1, :width].astype(np.int64)
    start, second, last_of_row = (here[:, first : first + width] for first in (0, columns, (samples - 1) * columns))

    def off(one: Array, other: Array) -> int:
        return int(np.abs(one - other).sum())

    by_pixel = _Roughness(off(start, here[:, step : width + step]), off(start, below))
    down = max(off(start, second), off(last_of_row, below))
    return by_pixel, _Roughness(off(start, here[:, 1 : width + 1]), down)


def _change_together(words: Array, layout: PixelLayout) -> bool:
    """Return whether the three samples of a pixel have the same noise in the other order, and clearly not as said.

    A pattern of a few values proves nothing, because its lines may have the distance of planes.
    """
    rows = (np.arange(_SAMPLED_ROWS) * _UNEVEN % 1 * layout.rows).astype(np.intp)
    pixels = words.reshape(layout.rows, layout.columns, _COLOURS)[rows, :_SAMPLED_COLUMNS].astype(np.int64)
    planes = words.reshape(_COLOURS, layout.rows, layout.columns)[:, rows, :_SAMPLED_COLUMNS].astype(np.int64)
    if len(np.unique(pixels)) < _MANY_VALUES:
        return False
    # Changes from pixel to pixel, then their differences from colour to colour.
    by_pixel = int(np.abs(np.diff(np.diff(pixels, axis=1), axis=2)).sum())
    by_plane = int(np.abs(np.diff(np.diff(planes, axis=2), axis=0)).sum())
    other, said = (by_pixel, by_plane) if layout.planar else (by_plane, by_pixel)
    return other < _MUCH_SMOOTHER * said


def grey_shares(words: Array, layout: PixelLayout) -> tuple[float, float]:
    """Return the share of some pixels that are grey if the samples lie by pixel, and if they lie by plane."""
    tolerance = max(_NEARLY_EQUAL << layout.bits_stored >> 8, 1)
    pixels = words.reshape(-1, _COLOURS)
    planes = words.reshape(_COLOURS, -1).T
    step = max(len(pixels) // (_SAMPLED_ROWS * _SAMPLED_COLUMNS), 1)
    by_pixel, by_plane = (_share_of_grey(reading[::step].astype(np.int64), tolerance) for reading in (pixels, planes))
    return by_pixel, by_plane


def _share_of_grey(pixels: Array, tolerance: int) -> float:
    first, second, third = pixels.T
    highest, lowest = (pick(pick(first, second), third) for pick in (np.maximum, np.minimum))
    return float((highest - lowest <= tolerance).mean())
