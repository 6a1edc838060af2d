"""Find whether the samples of uncompressed colours lie pixel by pixel or plane by plane (PS3.3 C.7.6.3.1.3).

Programs that decompress or convert a file often leave PlanarConfiguration as it was. The right order is smooth: in the
wrong one, neighbours belong to other colours or to distant parts of the picture.
"""

import numpy as np

from imaging.array import Array
from imaging.pixel_layout import PixelLayout

_SMOOTHER = 0.8
_SAMPLED_ROWS, _SAMPLED_COLUMNS = 16, 512
_NEARLY_EQUAL = 2
"""Samples of a grey pixel differ by at most this much, on a scale of 256."""
_HARDLY = 0.05
_LEAST_ROWS, _LEAST_COLUMNS = 8, 8
_COLOURS, _HALF = 3, 2
_PAIR = 4
"""Two pixels of 4:2:2 have four samples: Y Y Cb Cr."""


def is_by_plane(words: Array, layout: PixelLayout) -> bool:
    """Return whether the samples of a colour frame lie plane by plane.

    `words` are all samples of one frame in the order of the file. PlanarConfiguration decides unless the other order is
    clearly smoother and shows more grey pixels, or hardly any pixels are grey. For 4:2:2, whose samples always lie by
    pixel, only the pixels decide.
    """
    if layout.rows < _LEAST_ROWS or layout.columns < _LEAST_COLUMNS:
        return layout.planar and not layout.subsampled
    if layout.subsampled:
        by_pixel, by_plane = _roughness(words, layout, _HALF, _PAIR)
        return by_plane < _SMOOTHER * by_pixel
    by_pixel, by_plane = _roughness(words, layout, _COLOURS, _COLOURS)
    said, other = (by_plane, by_pixel) if layout.planar else (by_pixel, by_plane)
    if other >= _SMOOTHER * said:
        return layout.planar
    greys = grey_shares(words, layout)
    said_grey, other_grey = greys[::-1] if layout.planar else greys
    # Grey stripes are smooth in both orders, and all of their pixels are grey in both.
    refuted = other_grey > said_grey or max(greys) < _HARDLY
    return layout.planar is not refuted


def _roughness(words: Array, layout: PixelLayout, samples: int, step: int) -> tuple[int, int]:
    """Return the differences between neighbours if the samples lie by pixel, and if they lie by plane.

    A row of the file has `samples` times as many samples as the picture has columns, and `step` samples lie between
    two samples of one colour.
    """
    columns = layout.columns
    rows = words.reshape(layout.rows, samples * columns)
    # The first half of 4:2:2 by plane is luminance.
    last = layout.rows // samples if samples == _HALF else layout.rows - 1
    pick = np.linspace(0, last - 1, _SAMPLED_ROWS).astype(np.intp)
    width = min(columns, _SAMPLED_COLUMNS) - step
    here, below = rows[pick].astype(np.int64), rows[pick + 1, :width].astype(np.int64)
    start = here[:, :width]

    def off(other: Array) -> int:
        return int(np.abs(start - other).sum())

    by_pixel = off(here[:, step : width + step]) + off(below)
    return by_pixel, off(here[:, 1 : width + 1]) + off(here[:, columns : columns + width])


def grey_shares(words: Array, layout: PixelLayout) -> tuple[float, float]:
    """Return the share of some pixels that are grey if the samples lie by pixel, and if they lie by plane."""
    tolerance = max(_NEARLY_EQUAL << layout.bits_stored >> 8, 1)
    pixels = words.reshape(-1, _COLOURS)
    planes = words.reshape(_COLOURS, -1).T
    step = max(len(pixels) // (_SAMPLED_ROWS * _SAMPLED_COLUMNS), 1)
    some = (reading[::step].astype(np.int64) for reading in (pixels, planes))
    by_pixel, by_plane = (float((np.ptp(each, axis=-1) <= tolerance).mean()) for each in some)
    return by_pixel, by_plane
