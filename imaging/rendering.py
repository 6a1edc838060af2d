"""Render a frame as a picture for people: 8 bits per sample, in which grey means brightness and colours are sRGB."""

import cv2
import numpy as np

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.intensity import display, display_values, full_range, mapping_for
from imaging.spec import Intensity
from imaging.view import FULL, LARGEST_SIDE, PLAIN_VIEW, DisplayWindow, View, Viewport
from imaging.voi import Mapping, Ramp, window

_WHITE = 255
_BYTE_BITS = 8
_COLOUR_DIMENSIONS = 3
_TABLE_DTYPES = ("u1", "u2", "i1", "i2")
_PIXEL_RANGE = Intensity(kind="percentile", low=0.1, high=99.9)
"""The displayed range of an image without a VOI: nearly all its pixel values. The full range of 16 bits would show most
images nearly black."""


class OutsideRegionError(ValueError):
    """The region of the viewport lies outside of the frame."""


def render(frame: Frame, view: View = PLAIN_VIEW, *, pixel_ratio: float = 1.0) -> Array:
    """Return the picture as uint8 of shape (height, width), or (height, width, 3) in RGB.

    The modality LUT and the window are applied, MONOCHROME1 is inverted, and padding is black. Colours have no window.
    `pixel_ratio` is the height of a pixel of the frame divided by its width (imaging.pixel_ratio). It is used to give
    the picture square pixels. Raises OutsideRegionError.
    """
    return fit(_in_bytes(frame, view.window), view.viewport, pixel_ratio=pixel_ratio)


def used_mapping(frame: Frame, wanted: DisplayWindow | str) -> Mapping:
    """Return the mapping from modality values to brightness."""
    if isinstance(wanted, DisplayWindow):
        return window(wanted.center, wanted.width, wanted.function) or full_range(frame)
    if wanted == FULL or frame.stored.ndim == _COLOUR_DIMENSIONS:
        return full_range(frame)
    voi = frame.grayscale.voi
    if voi is None:
        return mapping_for(frame, _PIXEL_RANGE) if frame.bits_stored > _BYTE_BITS else full_range(frame)
    if isinstance(voi, Ramp) and voi.low == voi.high and frame.stored.dtype.kind == "f":
        # LINEAR with a width of 1 separates two integers. Writers of floating pixels mean LINEAR_EXACT.
        return Ramp(low=voi.low, high=voi.low + 1)
    return voi


def fit(picture: Array, viewport: Viewport | None, *, pixel_ratio: float = 1.0) -> Array:
    """Return the part of a picture that the viewport shows, enlarged or reduced to fit into it, with square pixels.

    `picture` is uint8 or float32 of shape (rows, columns) or (rows, columns, samples). Raises OutsideRegionError.
    """
    part = picture if viewport is None else _region(picture, viewport)
    rows, columns = part.shape[:2]
    height, width = rows * max(pixel_ratio, 1.0), columns * max(1 / pixel_ratio, 1.0)
    if viewport is None:
        scale = min(1.0, LARGEST_SIDE / height, LARGEST_SIDE / width)
    else:
        scale = min(viewport.height / height, viewport.width / width)
    return _resized(part, max(round(height * scale), 1), max(round(width * scale), 1))


def _in_bytes(frame: Frame, wanted: DisplayWindow | str) -> Array:
    stored = frame.stored
    if stored.ndim == _COLOUR_DIMENSIONS and stored.dtype == np.uint8 and frame.bits_stored == _BYTE_BITS:
        return stored
    mapping = used_mapping(frame, wanted)
    if stored.dtype.str[1:] not in _TABLE_DTYPES or stored.size < 1 << 8 * stored.dtype.itemsize:
        return _rounded(display_values(frame, mapping))
    table = _table(stored.dtype.str, frame.grayscale, mapping, inverted=frame.inverted)
    shown: Array = cv2.LUT(np.ascontiguousarray(stored).view(f"u{stored.dtype.itemsize}"), table)
    return shown


def _table(dtype: str, grayscale: Grayscale, mapping: Mapping, *, inverted: bool) -> Array:
    """Return a table of the brightness of all stored values.

    The index of a value is the unsigned integer with the same bits.
    """
    size = np.dtype(dtype).itemsize
    every = np.arange(1 << 8 * size, dtype=f"u{size}").view(dtype)
    return _rounded(display(every, grayscale, mapping, inverted=inverted))


def _rounded(shown: Array) -> Array:
    """Return display values in [0, 1] as bytes; half a step is rounded up."""
    brightness: Array = (shown * _WHITE + 0.5).astype(np.uint8)
    return brightness


def _region(picture: Array, viewport: Viewport) -> Array:
    """Return the part of the region that lies inside of the frame, in whole pixels."""
    rows = _span(viewport.top, viewport.region_height, picture.shape[0])
    columns = _span(viewport.left, viewport.region_width, picture.shape[1])
    part = picture[rows, columns]
    flipped = part[:: -1 if (viewport.region_height or 1) < 0 else 1, :: -1 if (viewport.region_width or 1) < 0 else 1]
    return np.ascontiguousarray(flipped)


def _span(start: float, length: float | None, size: int) -> slice:
    end = size if length is None else start + abs(length)
    first = max(min(round(start), size - 1), 0)
    if start >= size or end <= 0:
        raise OutsideRegionError
    return slice(first, max(min(round(end), size), first + 1))


def _resized(picture: Array, height: int, width: int) -> Array:
    rows, columns = picture.shape[:2]
    if (rows, columns) == (height, width):
        return picture
    shrinks = height <= rows and width <= columns
    resized: Array = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized
