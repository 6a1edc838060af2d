"""Count the bits that the pixels of a lossless JPEG frame need (ITU-T T.81, annex H)."""

import cv2
import numpy as np

from imaging.array import Array
from imaging.jpeg_markers import Jpeg

_VALUES = 1 << 16
_CATEGORIES = np.array([min(value, _VALUES - value).bit_length() for value in range(_VALUES)], np.uint8)
"""Number of bits of the magnitude of a difference modulo 65,536 (H.1.2.2)."""
_NO_CODE = 255


def coded_bits(pixels: Array, jpeg: Jpeg) -> int:
    """Return how many bits the coded data of these pixels have, in a frame with one scan and no restart intervals."""
    scan = jpeg.scans[0]
    planes = pixels[..., None] if pixels.ndim == 2 else pixels  # noqa: PLR2004
    total = 0
    for component, table in enumerate(scan.tables):
        plane = planes[..., component].astype(np.uint16, copy=False) >> np.uint16(scan.shift)
        differences = _differences(plane, scan.first, jpeg.precision - scan.shift)
        bits = cv2.LUT(differences, _bits(jpeg.tables.get(table >> 4, b"")))  # np.take needs four times as long
        total += int(bits.sum())
    return total


def _bits(table: bytes) -> Array:
    """Return for each difference the number of bits that encode it: those of its code and those behind the code."""
    lengths = np.full(256, _NO_CODE, np.uint8)
    at = 16
    for length, count in enumerate(table[:16], 1):
        for symbol in table[at : at + count]:
            lengths[symbol] = length + symbol % 16  # 16, the largest category, has no bits behind its code.
        at += count
    return cv2.LUT(_CATEGORIES, lengths)


def _differences(plane: Array, predictor: int, precision: int) -> Array:
    """Return the pixels minus their predictions, modulo 65,536 (table H.1)."""
    differences = np.empty_like(plane)
    differences[0, 0] = (int(plane[0, 0]) - (1 << precision - 1)) % _VALUES
    np.subtract(plane[0, 1:], plane[0, :-1], out=differences[0, 1:])
    np.subtract(plane[1:, 0], plane[:-1, 0], out=differences[1:, 0])
    left, above, corner = plane[1:, :-1], plane[:-1, 1:], plane[:-1, :-1]
    np.subtract(plane[1:, 1:], _predicted(left, above, corner, predictor, precision), out=differences[1:, 1:])
    return differences


def _predicted(left: Array, above: Array, corner: Array, predictor: int, precision: int) -> Array:
    if predictor <= 3:  # noqa: PLR2004 - a pixel as it is
        return (left, left, above, corner)[predictor]
    if predictor == 4:  # noqa: PLR2004
        return left + above - corner
    if precision < 15:  # noqa: PLR2004 - sums of two values fit into 16 bits
        a, b, c = left.view(np.int16), above.view(np.int16), corner.view(np.int16)
    else:
        a, b, c = left.astype(np.int32), above.astype(np.int32), corner.astype(np.int32)
    if predictor == 5:  # noqa: PLR2004
        mixed = a + (b - c >> 1)
    elif predictor == 6:  # noqa: PLR2004
        mixed = b + (a - c >> 1)
    else:
        mixed = a + b >> 1
    return mixed.astype(np.uint16)
