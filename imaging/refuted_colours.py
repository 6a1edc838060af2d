"""Convert stored colours to RGB by their label, unless they contradict it: RGB called YBR, or YBR called RGB.

Gateways that decompress a picture convert its colours and leave the label, or change the label only.
"""

from dataclasses import replace

import numpy as np

from imaging.array import Array
from imaging.colour import RGB, YBR, greys, is_impossible, labelled_to_rgb
from imaging.pixel_layout import YBR_FULL, YBR_PARTIAL, PixelLayout
from imaging.tags import PHOTOMETRIC_INTERPRETATION, tag_name

_FEW, _MANY = 16, 96
"""Number of rows and columns of the pixels that are looked at first, and of those that decide."""
_MOSTLY, _HARDLY = 0.5, 0.02
_BITS_OF_SHADE, _SHADES = 6, 8
"""A picture has at least eight of 64 shades of grey."""
_DARKEST, _BRIGHTEST, _OUTSIDE = 12, 239, 0.02
"""YBR_PARTIAL has luminance from 16 to 235; compression may change it by a few values."""


def checked_to_rgb(pixels: Array, layout: PixelLayout) -> tuple[Array, str]:
    """Return stored colours of shape (rows, columns, 3) as RGB, and what contradicts their label; empty if nothing."""
    label = layout.photometric
    if layout.label_decided or layout.floating or not (right := refuted_label(pixels, label, layout.bits_stored)):
        return labelled_to_rgb(pixels, layout), ""
    note = f"{tag_name(PHOTOMETRIC_INTERPRETATION)} is {label}, but the values of the pixels look like {right}."
    return labelled_to_rgb(pixels, replace(layout, photometric=right)), note


def refuted_label(pixels: Array, label: str, bits: int) -> str:
    """Return the right label of stored colours of shape (rows, columns, 3); empty if `label` may be right.

    RGB is refuted if most pixels have two samples in the middle of the range, as grey pixels have in YBR, in many
    shades, and hardly any others have three equal ones. YBR is refuted if many pixels do not exist in RGB, and more are
    grey as RGB than as YBR. YBR_PARTIAL is refuted by luminance outside of its range.
    """
    if label in YBR_PARTIAL and _is_full(_some(pixels, _FEW), bits) and _is_full(_some(pixels, _MANY), bits):
        return RGB if _is_rgb(_some(pixels, _MANY), bits) else YBR
    is_ybr = label in (*YBR_FULL, *YBR_PARTIAL)
    refutes = _is_rgb if is_ybr else _is_ybr
    refuted = refutes(_some(pixels, _FEW), bits) and refutes(_some(pixels, _MANY), bits)
    refuted = refuted and (is_ybr or _has_shades(_some(pixels, _MANY), bits))
    return (RGB if is_ybr else YBR) if refuted else ""


def _some(pixels: Array, number: int) -> Array:
    down, across = (-(-size // number) for size in pixels.shape[:2])
    return pixels[down // 2 :: down, across // 2 :: across]


def _is_full(pixels: Array, bits: int) -> bool:
    """Return whether the luminance uses the whole range, and not that of YBR_PARTIAL."""
    luminance, unit = pixels[..., 0], (1 << bits) / 256
    outside = (luminance < _DARKEST * unit) | (luminance > _BRIGHTEST * unit)
    return float(outside.mean()) > _OUTSIDE


def _is_ybr(pixels: Array, bits: int) -> bool:
    rgb, ybr = greys(pixels, bits)
    return float(ybr.mean()) > _MOSTLY and float(rgb.mean()) < _HARDLY


def _has_shades(pixels: Array, bits: int) -> bool:
    """Return whether the pixels that are grey as YBR have many brightnesses: an area of teal in RGB has one or two."""
    _, ybr = greys(pixels, bits)
    return len(np.unique(pixels[..., 0][ybr] >> max(bits - _BITS_OF_SHADE, 0))) >= _SHADES


def _is_rgb(pixels: Array, bits: int) -> bool:
    filled = ~pixels.any(axis=-1)
    if float(filled.mean()) < 1 - _HARDLY:
        pixels = pixels[~filled]  # Devices fill the rest of a picture with zeros, in YBR too.
    rgb, ybr = greys(pixels, bits)
    return int(np.count_nonzero(rgb)) > int(np.count_nonzero(ybr)) and is_impossible(pixels, bits)
