"""Convert stored colours to RGB by their label: PhotometricInterpretation (PS3.3 C.7.6.3.1.2)."""

import numpy as np

from imaging.array import Array
from imaging.pixel_layout import YBR_422, YBR_FULL, YBR_PARTIAL, PixelLayout

_FROM_YBR = np.array([[1, 1, 1], [0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0]], np.float32)
_PARTIAL_LUMA, _PARTIAL_CHROMA, _PARTIAL_BLACK = 255 / 219, 255 / 224, 16
"""YBR_PARTIAL: luma from 16 to 235, chroma from 16 to 240 (ITU-R BT.601)."""
_FAR_OUT = 16
"""A colour is not YBR if reading it as YBR gives an RGB component this far (of 256) below black or above white:
rounding cannot move a component so far."""
_MOST_FAR_OUT = 0.1
_SAMPLE_STEP = 4
_NEARLY_GREY = 2
"""Tolerance for a grey pixel, on a scale of 256: the samples of RGB differ by at most this much, and the chroma of YBR
differs by at most this much from the middle of its range."""
RGB, YBR = "RGB", "YBR_FULL"
UNLABELLED = ""
"""A label for samples that are to stay as they are stored."""


def labelled_to_rgb(pixels: Array, layout: PixelLayout) -> Array:
    """Convert colours of shape (rows, columns, 3) to RGB by the label, after checking it against the data.

    YBR_RCT and YBR_ICT exist only within JPEG 2000, whose decoders return RGB. If the label is YBR_FULL_422 but no
    samples were left out, a program has decompressed the picture and kept the label: the colours are YBR_FULL or RGB.
    """
    label, bits = layout.photometric, layout.bits_stored
    if label in YBR_PARTIAL:
        return _partial_to_rgb(pixels, bits)
    if label not in YBR_FULL or (is_unsure(layout) and guess_label([pixels], bits) == RGB):
        return pixels
    return ybr_to_rgb(pixels, bits)


def is_unsure(layout: PixelLayout) -> bool:
    """Return whether the data contradict the label: it is YBR_FULL_422, but all samples are there."""
    return layout.photometric == YBR_422 and not layout.subsampled


def guess_label(frames: list[Array], bits: int) -> str:
    """Return RGB or YBR_FULL for stored frames of shape (rows, columns, 3).

    Most medical pictures have grey pixels: RGB stores them as three equal values, YBR with two values in the middle of
    the range. If the grey pixels do not decide, the frames count as YBR_FULL if nearly all of their colours, read as
    YBR, exist in RGB.
    """
    masks_of_frames = [greys(_sampled(frame), bits) for frame in frames]
    rgb_greys, ybr_greys = (
        sum(int(np.count_nonzero(mask)) for mask in masks) for masks in zip(*masks_of_frames, strict=True)
    )
    if rgb_greys != ybr_greys:
        return RGB if rgb_greys > ybr_greys else YBR
    return RGB if any(is_impossible(_sampled(frame), bits) for frame in frames) else YBR


def greys(pixels: Array, bits: int) -> tuple[Array, Array]:
    """Return which pixels are grey only if read as RGB, and which only if read as YBR."""
    wide, tolerance = pixels.astype(np.int64), max((_NEARLY_GREY << bits) >> 8, 1)
    first, second, third = (wide[..., sample] for sample in range(3))
    lowest, highest = np.minimum(second, third), np.maximum(second, third)
    rgb = np.maximum(highest, first) - np.minimum(lowest, first) <= tolerance
    half = 1 << bits - 1
    ybr = (lowest >= half - tolerance) & (highest <= half + tolerance)
    return rgb & ~ybr, ybr & ~rgb


def is_impossible(pixels: Array, bits: int) -> bool:
    """Return whether many of these pixels, read as YBR, do not exist in RGB.

    This is so if the frame really is RGB: read as YBR, its black and white pixels are impossible colours.
    """
    rgb = _unclipped(pixels, bits)
    unit = (1 << bits) / 256
    far_out = (rgb < -_FAR_OUT * unit) | (rgb > (255 + _FAR_OUT) * unit)
    return float(far_out.any(axis=-1).mean()) > _MOST_FAR_OUT


def ybr_to_rgb(ybr: Array, bits: int) -> Array:
    """Convert YBR_FULL of shape (rows, columns, 3) and this number of bits to RGB.

    0.5 is added to each value, so that the conversion to an integer type rounds half up. Float values keep the 0.5.
    """
    rgb = _unclipped(ybr, bits)
    rgb += np.float32(0.5)
    return np.clip(rgb, 0, (1 << bits) - 1, out=rgb).astype(ybr.dtype)


def _unclipped(ybr: Array, bits: int) -> Array:
    half = 1 << (bits - 1)
    rgb: Array = (ybr.astype(np.float32) - np.array([0, half, half], np.float32)) @ _FROM_YBR
    return rgb


def _partial_to_rgb(ybr: Array, bits: int) -> Array:
    """Stretch YBR_PARTIAL to the full range, then convert it."""
    unit, half = 1 << (bits - 8), 1 << (bits - 1)
    full = ybr.astype(np.float32)
    full[..., 0] = (full[..., 0] - _PARTIAL_BLACK * unit) * _PARTIAL_LUMA
    full[..., 1:] = (full[..., 1:] - half) * _PARTIAL_CHROMA + half
    return ybr_to_rgb(full, bits).astype(ybr.dtype)


def _sampled(pixels: Array) -> Array:
    return pixels[::_SAMPLE_STEP, ::_SAMPLE_STEP]
