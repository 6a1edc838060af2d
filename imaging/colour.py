"""Convert stored colours to RGB by their label: PhotometricInterpretation (PS3.3 C.7.6.3.1.2)."""

import numpy as np

from imaging.array import Array
from imaging.pixel_layout import YBR_422, YBR_FULL, YBR_PARTIAL, PixelLayout

_FROM_YBR = np.array([[1, 1, 1], [0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0]], np.float32)
_PARTIAL_LUMA, _PARTIAL_CHROMA, _PARTIAL_BLACK = 255 / 219, 255 / 224, 16
"""YBR_PARTIAL: luma from 16 to 235, chroma from 16 to 240 (ITU-R BT.601)."""
_FAR_OUT = 16
"""A colour component this far below black or above white does not come from the rounding of a YBR picture."""
_MOST_FAR_OUT = 0.1
_SAMPLE_STEP = 4


def labelled_to_rgb(pixels: Array, layout: PixelLayout) -> Array:
    """Convert colours of shape (rows, columns, 3) to RGB by the label, after checking it against the data.

    YBR_RCT and YBR_ICT exist only within JPEG 2000, whose decoders return RGB. A picture that says YBR_FULL_422 while
    all samples are there was decompressed by a program that left the label, so it is either YBR_FULL or RGB.
    """
    label, bits = layout.photometric, layout.bits_stored
    if label in YBR_PARTIAL:
        return _partial_to_rgb(pixels, bits)
    if label not in YBR_FULL or (label == YBR_422 and not layout.subsampled and not _can_be_ybr(pixels, bits)):
        return pixels
    return ybr_to_rgb(pixels, bits)


def ybr_to_rgb(ybr: Array, bits: int = 8) -> Array:
    """Convert YBR_FULL of shape (rows, columns, 3) and this number of bits to RGB, rounded half up."""
    rgb = _unclipped(ybr, bits)
    rgb += np.float32(0.5)
    np.floor(rgb, out=rgb)
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


def _can_be_ybr(pixels: Array, bits: int) -> bool:
    """Return whether nearly all pixels are colours that RGB has. Black and white of RGB, taken for YBR, are not."""
    rgb = _unclipped(pixels[::_SAMPLE_STEP, ::_SAMPLE_STEP], bits)
    unit = (1 << bits) / 256
    far_out = (rgb < -_FAR_OUT * unit) | (rgb > (255 + _FAR_OUT) * unit)
    return float(far_out.any(axis=-1).mean()) <= _MOST_FAR_OUT
