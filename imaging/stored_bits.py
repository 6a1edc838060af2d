"""Keep the BitsStored bits of a stored value, and drop what other bits hold (PS3.5 section 8.1.1)."""

import numpy as np

from imaging.array import Array
from imaging.pixel_layout import PixelLayout


def mask_unused_bits(values: Array, layout: PixelLayout) -> Array:
    """Clear the bits outside of BitsStored, which are undefined, and extend the sign bit."""
    above = layout.bits_allocated - 1 - layout.high_bit
    below = layout.bits_allocated - layout.bits_stored
    if layout.floating or below == 0:
        return values
    if not layout.signed and above == below and int(values.max()) >> layout.bits_stored == 0:
        return values
    return (values << above) >> below


def mask_decoded_bits(pixels: Array, layout: PixelLayout, precision: int) -> Array:
    """Clear the bits outside of BitsStored in the output of a lossless decoder, and extend the sign bit.

    `precision` is the number of bits of the decoded samples. Writers compress either the values, with at most
    BitsStored bits, or the whole words of the pixel cell, overlays included. Only the latter have more bits than
    BitsStored. The result has the sign of PixelRepresentation.
    """
    if _fits(pixels, layout, precision):
        return pixels
    used = min(precision, layout.bits_stored)
    pixels, cell = _with_sign(pixels, layout)
    shift = _shift(layout, precision)
    if not layout.signed and shift == 0 and (cell == used or int(pixels.max()) >> used == 0):
        return pixels
    above = cell - used - shift
    return (pixels << above) >> above + shift if cell > used else pixels


def limit_decoded_bits(pixels: Array, layout: PixelLayout, precision: int) -> Array:
    """Return the output of a lossy decoder with the bits and the sign that the header declares.

    `precision` is the number of bits of the decoded samples. Values just outside of BitsStored are errors of the
    compression: they are clipped.
    """
    if _fits(pixels, layout, precision):
        return pixels
    pixels, cell = _with_sign(pixels, layout)
    unused, shift = cell - precision, _shift(layout, precision)
    if unused > 0 and layout.signed:
        pixels = (pixels << unused) >> unused
    values = pixels >> shift
    top = 1 << layout.bits_stored - layout.signed
    return np.clip(values, -top if layout.signed else 0, top - 1) if precision > layout.bits_stored else values


def _fits(pixels: Array, layout: PixelLayout, precision: int) -> bool:
    """Return whether a decoder gave values that need no change: no more bits than BitsStored, and their sign."""
    return precision <= layout.bits_stored and (pixels.dtype.kind == "i") == layout.signed


def _with_sign(pixels: Array, layout: PixelLayout) -> tuple[Array, int]:
    """Return the pixels with the sign of PixelRepresentation, and the bits of their type."""
    cell = pixels.dtype.itemsize * 8
    return pixels.view(f"{'i' if layout.signed else 'u'}{pixels.dtype.itemsize}"), cell


def _shift(layout: PixelLayout, precision: int) -> int:
    """Return how far the values lie above bit 0: only whole words can hold them at the top."""
    whole_words = layout.bits_stored < precision and layout.high_bit < precision
    return layout.high_bit + 1 - layout.bits_stored if whole_words else 0
