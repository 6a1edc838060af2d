"""Prepare a frame as the float32 input of one network. Training and inference share this code."""

import math
from collections.abc import Callable
from dataclasses import replace
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
from nightread.errors import RejectImage
from nightread.reasons import Reason

_INTERPOLATION = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST}
_INTEGER_SPAN = 2048
"""Values are resized as integers only if the window spans at least this many stored values: the rounding error is then
below 1/1000 of the window."""
_FAR = 8192
"""If a window is farther from zero than this many times its width, float32 is too coarse for the stored values."""
_TABLE_DTYPES = ("u1", "u2", "i1", "i2")
_COLOUR_DIMENSIONS = 3
_HALVINGS = {4: 2, 8: 3}
"""Factors of reductions that are done by repeated halving, with the number of halvings."""
_EXACT_LIMIT, _EXACT_PARTS = 1 << 16, 4
"""Values up to 65,536 that are multiples of 1/4 can be added without rounding: the sum of 64 of them has at most 24
bits, so float32 holds it exactly."""


class _Source(NamedTuple):
    """The values to resize. The display value in [0, 1] is (value - zero) * gain."""

    values: Array
    zero: float = 0.0
    gain: float = 1.0
    exact: bool = False
    """Whether `values` are float32, and a sum of 64 values is exact, so that the order of addition does not matter."""


def prepare(frame: Frame, spec: InputSpec, out: Array | None = None) -> Array:
    """Return one frame as C-contiguous float32 of shape (height, width, channels), written into `out` if given.

    The result equals `imaging.intensity.display_values`, resized and then scaled, within 1/1000 of the display range.
    Raises RejectImage: VOI_UNUSABLE if the header's VOI cannot be used and the bundle refuses such images,
    OUT_OF_DOMAIN if a channel shows a neighbouring slice, which only `imaging.series.prepared_stack` can show.
    """
    if not spec.meanings:
        return _prepare(frame, spec, out)
    if spec.needs_neighbours:
        raise RejectImage(Reason.OUT_OF_DOMAIN, "The model needs the neighbouring slices, and this is a single image.")
    planes = prepare_planes(frame, spec)
    return join_planes(lambda _: planes, spec, out)


def prepare_planes(frame: Frame, spec: InputSpec) -> Array:
    """Return one slice, once for each different window of the channels: float32 of shape (windows, height, width).

    `join_planes` makes inputs of these planes. Raises RejectImage(VOI_UNUSABLE) like `prepare`.
    """
    specs = _plane_specs(spec)
    planes = np.empty((len(specs), spec.height, spec.width), np.float32)
    for plane, plane_spec in zip(planes, specs, strict=True):
        _prepare(frame, plane_spec, plane[..., None])
    return planes


def join_planes(planes_at: Callable[[int], Array], spec: InputSpec, out: Array | None = None) -> Array:
    """Return an input, float32 of shape (height, width, channels), written into `out` if given.

    `planes_at` takes the offset of a slice, and returns the result of `prepare_planes` for this slice.
    """
    target = np.empty(spec.shape, np.float32) if out is None else out
    for index, (channel, plane) in enumerate(zip(spec.meanings, _plane_of_channel(spec), strict=True)):
        target[..., index] = planes_at(channel.offset)[plane]
    if spec.mean is not None:
        target -= np.array(spec.mean, np.float32)
    if spec.std is not None:
        target /= np.array(spec.std, np.float32)
    return target


@lru_cache(maxsize=64)
def _plane_specs(spec: InputSpec) -> tuple[InputSpec, ...]:
    """Return the specs of the different windows, without mean and standard deviation: these belong to channels."""
    bare = replace(spec, mean=None, std=None)
    return tuple(dict.fromkeys(bare.of_channel(index) for index in range(spec.channels)))


@lru_cache(maxsize=64)
def _plane_of_channel(spec: InputSpec) -> tuple[int, ...]:
    """Return for each channel the index of its window in what `prepare_planes` returns."""
    bare, specs = replace(spec, mean=None, std=None), _plane_specs(spec)
    return tuple(specs.index(bare.of_channel(index)) for index in range(spec.channels))


def _prepare(frame: Frame, spec: InputSpec, out: Array | None) -> Array:
    source = _source(frame, spec)
    target = np.empty(spec.shape, np.float32) if out is None else out
    gain, offset = _scaling(spec)
    place = placement(*source.values.shape[:2], spec)
    resized = _resize(source, place, spec)
    if resized.ndim == _COLOUR_DIMENSIONS and spec.channels == 1:  # RGB2GRAY uses the weights of ITU-R BT.601.
        resized = cv2.cvtColor(resized.astype(np.float32, copy=False), cv2.COLOR_RGB2GRAY)
    if spec.channel_order == BGR and resized.ndim == _COLOUR_DIMENSIONS:
        resized = resized[..., ::-1]
    if resized.shape[:2] != spec.shape[:2]:
        target[...] = offset  # the padding has the darkest value
    part = target[place.target]
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
    if isinstance(mapping, Ramp) and grayscale.modality_lut is None and grayscale.padding is None:
        rescale, integers = (grayscale.slope, grayscale.intercept), spec.interpolation != "cubic"
        clipping = _clipping(stored.dtype.str, rescale, mapping, frame.inverted, integers)
        if clipping is not None:
            return clipping.source(stored)
    if stored.size < 1 << 8 * stored.dtype.itemsize:
        return _Source(display_values(frame, mapping).astype(np.float32, copy=False))
    table = _table(stored.dtype.str, grayscale, mapping, frame.inverted)
    return _Source(cv2.LUT(stored.view(f"u{stored.dtype.itemsize}"), table))


class _Clipping(NamedTuple):
    """How stored values are clipped before the resize. The ramp is applied after the resize, to the smaller array."""

    low: np.generic
    high: np.generic
    zero: float
    gain: float
    exact: bool

    def source(self, stored: Array) -> _Source:
        """Clip the values, in the type of the limits: this is the type of the stored values, or float32."""
        if stored.dtype == self.low.dtype:
            values = stored.clip(self.low, self.high)
        else:
            values = stored.astype(np.float32)
            np.clip(values, self.low, self.high, out=values)
        return _Source(values, self.zero, self.gain, self.exact)


@lru_cache(maxsize=256)
def _clipping(dtype: str, rescale: tuple[float, float], ramp: Ramp, inverted: bool, integers: bool) -> _Clipping | None:
    """Return how values of this type are clipped; None if the ramp is empty, or too narrow for float32.

    `rescale` is slope and intercept. Without `integers` the values always become float32. Cached, because the images of
    a series have the same window. Lookup tables are not part of the key, because the cache would keep them in memory.
    """
    if ramp.low >= ramp.high:
        return None
    slope, intercept = rescale
    black, white = (ramp.low - intercept) / slope, (ramp.high - intercept) / slope  # they become 0 and 1
    if abs(black) + abs(white) > _FAR * abs(white - black):
        return None
    low, high = min(black, white), max(black, white)
    exact = max(-low, high) <= _EXACT_LIMIT and (low * _EXACT_PARTS).is_integer() and (high * _EXACT_PARTS).is_integer()
    ends: tuple[np.generic, np.generic] = np.float32(low), np.float32(high)
    limits = np.iinfo(dtype)
    reached = low <= limits.max and high >= limits.min
    if integers and high - low >= _INTEGER_SPAN and limits.bits == 16 and reached:  # noqa: PLR2004
        # NumPy clips eight times slower with Python numbers if one of them is the limit of the type. A check whether
        # any value is outside takes as long as clipping.
        of_type = limits.dtype.type
        ends = of_type(max(math.floor(low), limits.min)), of_type(min(math.ceil(high), limits.max))
        exact = False
    if inverted:
        black, white = white, black
    return _Clipping(*ends, zero=black, gain=1 / (white - black), exact=exact)


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
    """The rows and columns of an image that a network sees, and the part of its input that they fill."""

    source: tuple[slice, slice]
    target: tuple[slice, slice]


@lru_cache(maxsize=256)
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


def _middle(whole: int, part: int) -> slice:
    part = max(part, 1)
    start = (whole - part) // 2
    return slice(start, start + part)


def _resize(source: _Source, place: Placement, spec: InputSpec) -> Array:
    values = source.values[place.source]
    height, width = (part.stop - part.start for part in place.target)
    rows, columns = values.shape[:2]
    if (rows, columns) == (height, width):
        return values
    interpolation = _INTERPOLATION.get(spec.interpolation)
    if interpolation is None:  # `area` averages pixels, which is undefined for enlargement.
        interpolation = cv2.INTER_AREA if rows >= height and columns >= width else cv2.INTER_LINEAR
    factor = rows // height
    can_halve = source.exact and interpolation == cv2.INTER_AREA and factor in _HALVINGS
    if can_halve and (rows, columns) == (factor * height, factor * width):
        return _halved(values, _HALVINGS[factor])
    resized: Array = cv2.resize(values, (width, height), interpolation=interpolation)
    return resized


def _halved(values: Array, times: int) -> Array:
    """Return the mean of each square block of float32 pixels. If all sums are exact, `cv2.resize` gives the same mean.

    OpenCV has vector instructions only for halving: 512 x 512 to 128 x 128 pixels take 40 us instead of 95. Integers
    would have to be converted first, which takes as much time as halving saves.
    """
    for _ in range(times):
        rows, columns = values.shape[:2]
        values = cv2.resize(values, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    return values
