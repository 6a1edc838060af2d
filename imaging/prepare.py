"""Prepare a frame as the float32 input of one network. Training and inference share this code."""

import math
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.intensity import display, display_values, mapping_for
from imaging.spec import BGR, InputSpec
from imaging.voi import Mapping, Ramp

_INTERPOLATION = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST}
_INTEGER_SPAN = 2048
"""A window of at least this many stored values is resized as integers: the rounding error is below 1/1000 of it."""
_FAR = 8192
"""A window farther from zero than this many of its widths is too narrow for float32 arithmetic on stored values."""
_TABLE_DTYPES = ("u1", "u2", "i1", "i2")
_COLOUR_DIMENSIONS = 3


class _Source(NamedTuple):
    """The values to resize. The display value in [0, 1] is (value - zero) * gain."""

    values: Array
    zero: float = 0.0
    gain: float = 1.0


def prepare(frame: Frame, spec: InputSpec, out: Array | None = None) -> Array:
    """Return one frame as C-contiguous float32 of shape (height, width, channels), written into `out` if given.

    The result equals `imaging.intensity.display_values`, resized and then scaled, within 1/1000 of the display range.
    Raises RejectImage(VOI_UNUSABLE) if the header's VOI cannot be used and the bundle refuses such images.
    """
    source = _source(frame, spec)
    target = np.empty(spec.shape, np.float32) if out is None else out
    gain, offset = _scaling(spec)
    resized, window = _fitted(source.values, spec)
    if resized.ndim == _COLOUR_DIMENSIONS and spec.channels == 1:  # RGB2GRAY uses the weights of ITU-R BT.601.
        resized = cv2.cvtColor(resized.astype(np.float32, copy=False), cv2.COLOR_RGB2GRAY)
    if spec.channel_order == BGR and resized.ndim == _COLOUR_DIMENSIONS:
        resized = resized[..., ::-1]
    if resized.shape[:2] != spec.shape[:2]:
        target[...] = offset  # the padding has the darkest value
    part = target[window]
    np.subtract(
        resized if resized.ndim == _COLOUR_DIMENSIONS else resized[..., None], np.float32(source.zero), out=part
    )
    part *= gain * np.float32(source.gain)
    part += offset
    return target


def _source(frame: Frame, spec: InputSpec) -> _Source:
    mapping = mapping_for(frame, spec.intensity)
    stored = frame.stored
    if stored.dtype.str[1:] not in _TABLE_DTYPES:
        return _Source(display_values(frame, mapping).astype(np.float32, copy=False))
    grayscale = frame.grayscale
    straight = grayscale.modality_lut is None and grayscale.padding is None
    if straight and isinstance(mapping, Ramp) and mapping.low < mapping.high:
        slope, intercept = grayscale.slope, grayscale.intercept
        black, white = (mapping.low - intercept) / slope, (mapping.high - intercept) / slope
        if abs(black) + abs(white) <= _FAR * abs(white - black):
            return _straight(frame, black, white, integers=spec.interpolation != "cubic")
    if stored.size < 1 << 8 * stored.dtype.itemsize:
        return _Source(display_values(frame, mapping).astype(np.float32, copy=False))
    table = _table(stored.dtype.str, grayscale, mapping, frame.inverted)
    return _Source(cv2.LUT(stored.view(f"u{stored.dtype.itemsize}"), table))


def _straight(frame: Frame, black: float, white: float, *, integers: bool) -> _Source:
    """Clip the stored values, and leave the linear part of the ramp for the smaller array after the resize.

    `black` and `white` are the stored values that become 0 and 1.
    """
    low, high = min(black, white), max(black, white)
    if integers and high - low >= _INTEGER_SPAN and _reaches(frame.stored, low, high):
        values = _clip_integers(frame.stored, math.floor(low), math.ceil(high))
    else:
        values = frame.stored.astype(np.float32)
        np.clip(values, np.float32(low), np.float32(high), out=values)
    if frame.inverted:
        black, white = white, black
    return _Source(values, zero=black, gain=1 / (white - black))


def _reaches(stored: Array, low: float, high: float) -> bool:
    """Return whether the stored values are 16-bit integers whose range overlaps the window."""
    limits = np.iinfo(stored.dtype)
    return limits.bits == 16 and low <= limits.max and high >= limits.min  # noqa: PLR2004


def _clip_integers(stored: Array, low: int, high: int) -> Array:
    limits = np.iinfo(stored.dtype)
    # NumPy clips eight times slower with Python numbers if one of them is the limit of the type. Asking first whether
    # any value is outside takes as long as to clip.
    of_type = stored.dtype.type
    return stored.clip(of_type(max(low, limits.min)), of_type(min(high, limits.max)))


@lru_cache(maxsize=32)
def _table(dtype: str, grayscale: Grayscale, mapping: Mapping, inverted: bool) -> Array:
    """Return the display value of every stored value, indexed by its bits as an unsigned integer."""
    size = np.dtype(dtype).itemsize
    every = np.arange(1 << 8 * size, dtype=f"u{size}").view(dtype)
    return display(every, grayscale, mapping, inverted=inverted).astype(np.float32)


@lru_cache(maxsize=64)
def _scaling(spec: InputSpec) -> tuple[Array, Array]:
    """Return gain and offset per channel, which turn display values into inputs."""
    mean = np.array(spec.mean or (0.0,) * spec.channels)
    std = np.array(spec.std or (1.0,) * spec.channels)
    gain = (spec.scale_high - spec.scale_low) / std
    return gain.astype(np.float32), ((spec.scale_low - mean) / std).astype(np.float32)


class Placement(NamedTuple):
    """The rows and columns of an image that a network sees, and those of its input that they fill."""

    source: tuple[slice, slice]
    target: tuple[slice, slice]


def placement(rows: int, columns: int, spec: InputSpec) -> Placement:
    """Return which part of an image becomes which part of the input; the aspect policy decides."""
    height, width = spec.height, spec.width
    source = slice(0, rows), slice(0, columns)
    if spec.aspect == "pad":
        scale = min(height / rows, width / columns)
        height, width = max(round(rows * scale), 1), max(round(columns * scale), 1)
    elif spec.aspect == "crop":
        scale = max(height / rows, width / columns)
        source = _middle(rows, round(height / scale)), _middle(columns, round(width / scale))
    return Placement(source, (_middle(spec.height, height), _middle(spec.width, width)))


def _fitted(values: Array, spec: InputSpec) -> tuple[Array, tuple[slice, slice]]:
    """Return the resized values, and their rows and columns in the target."""
    source, target = placement(values.shape[0], values.shape[1], spec)
    height, width = (part.stop - part.start for part in target)
    return _resize(values[source], height, width, spec), target


def _middle(whole: int, part: int) -> slice:
    part = max(part, 1)
    start = (whole - part) // 2
    return slice(start, start + part)


def _resize(values: Array, height: int, width: int, spec: InputSpec) -> Array:
    rows, columns = values.shape[:2]
    if (rows, columns) == (height, width):
        return values
    interpolation = _INTERPOLATION.get(spec.interpolation)
    if interpolation is None:  # `area` averages pixels, which is undefined for enlargement.
        interpolation = cv2.INTER_AREA if rows >= height and columns >= width else cv2.INTER_LINEAR
    resized: Array = cv2.resize(values, (width, height), interpolation=interpolation)
    return resized
