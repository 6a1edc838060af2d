"""Keep the BitsStored bits of a stored value, and drop all other bits (PS3.5 section 8.1.1).

If the pixels clearly contradict BitsStored, HighBit or the sign of the header, the pixels decide, and a note says so.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from imaging import tags
from imaging.array import Array
from imaging.pixel_layout import PALETTE, PixelLayout
from imaging.refuted_bits import has_leaps, in_other_order, refuted_words
from imaging.tags import tag_name

_BYTE_BITS = 8
_STORED = tag_name(tags.BITS_STORED)


class StoredValues(NamedTuple):
    """The values of one frame, with the bits that they can use."""

    values: Array
    bits: int
    note: str = ""
    """What the pixels contradict in the header; empty if nothing."""
    scaled: bool = False
    """Whether the values were probably scaled to fewer bits than the header says, so that its window may not fit."""
    colour_note: str = ""
    """What the pixels contradict in the header about their colours; empty if nothing."""


def native_values(words: Array, layout: PixelLayout) -> StoredValues:
    """Return the values of the whole words of a frame, without the bits outside of BitsStored."""
    masked = mask_unused_bits(words, layout)
    if not (leaps := has_leaps(words, layout)) or (reordered := in_other_order(words, masked, layout)) is None:
        return _native_values(words, masked, layout, leaps=leaps)
    words, note = reordered
    masked = mask_unused_bits(words, layout)
    stored = _native_values(words, masked, layout, leaps=has_leaps(words, layout))
    return stored._replace(note=f"{note} {stored.note}".rstrip())


def _native_values(words: Array, masked: Array, layout: PixelLayout, *, leaps: bool) -> StoredValues:
    if layout.floating:
        return StoredValues(masked, layout.bits_stored)
    refuted = refuted_words(words, masked, layout, layout.high_bit + 1 - layout.bits_stored, leaps=leaps)
    return StoredValues(*refuted) if refuted else StoredValues(masked, layout.bits_stored)


def decoded_values(pixels: Array, layout: PixelLayout, precision: int, *, signed: bool, lossless: bool) -> StoredValues:
    """Return the values of a codestream whose samples have `precision` bits, and a sign if `signed`."""
    if precision < layout.bits_stored:
        return _of_fewer_bits(pixels, layout, precision, signed=signed, lossless=lossless)
    if signed and not layout.signed and _is_signed(pixels, layout, precision):
        return StoredValues(pixels, layout.bits_stored, _of_other_sign())
    if not lossless and precision > layout.bits_stored:
        return StoredValues(limit_decoded_bits(pixels, layout, precision), layout.bits_stored)
    if lossless and not signed and precision == pixels.dtype.itemsize * _BYTE_BITS:
        return native_values(_with_sign(pixels, layout)[0], _of_cell(layout, precision))
    return StoredValues(mask_decoded_bits(pixels, layout, precision), layout.bits_stored)


def _of_cell(layout: PixelLayout, precision: int) -> PixelLayout:
    """Return the layout of words of `precision` bits, which may be fewer than BitsAllocated."""
    high_bit = _shift(layout, precision) + layout.bits_stored - 1
    if (precision, high_bit) == (layout.bits_allocated, layout.high_bit):
        return layout
    return replace(layout, bits_allocated=precision, high_bit=high_bit)


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
    BitsStored bits, or the whole words of the pixel cell, overlays included. So samples with more bits than BitsStored
    are whole words. The result has the sign of PixelRepresentation.
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

    `precision` is the number of bits of the decoded samples: more than BitsStored. Values just outside of BitsStored
    are errors of the compression: they are clipped.
    """
    pixels, cell = _with_sign(pixels, layout)
    unused, shift = cell - precision, _shift(layout, precision)
    if unused > 0 and layout.signed:
        pixels = (pixels << unused) >> unused
    values = pixels >> shift
    top = 1 << layout.bits_stored - layout.signed
    clipped: Array = np.clip(values, -top if layout.signed else 0, top - 1)
    return clipped


def _of_fewer_bits(pixels: Array, layout: PixelLayout, precision: int, *, signed: bool, lossless: bool) -> StoredValues:
    """Return the values of samples that have fewer bits than BitsStored.

    A lossless encoder may write only as many bits as the values need, and the values are unchanged. In a lossy stream,
    or a stream of 8 bits, the values were probably scaled to fewer bits, and the header was not changed.
    """
    if layout.photometric == PALETTE:
        return StoredValues(mask_decoded_bits(pixels, layout, precision), layout.bits_stored)
    scaled = not lossless or precision <= _BYTE_BITS
    note = f"The compressed frames have {precision} bits per sample, but {_STORED} is {layout.bits_stored}."
    as_they_are = signed or not lossless
    values = pixels if as_they_are else mask_decoded_bits(pixels, layout, precision)
    return StoredValues(values, precision if scaled else layout.bits_stored, note, scaled)


def _is_signed(pixels: Array, layout: PixelLayout, precision: int) -> bool:
    """Return whether the samples of a signed stream are signed values.

    Samples with more bits than BitsStored are whole words, whose sign bit may belong to an overlay. They count as
    signed only if some are negative and all fit into BitsStored bits.
    """
    if precision <= layout.bits_stored:
        return True
    limit = 1 << layout.bits_stored - 1
    return -limit <= int(pixels.min()) < 0 and int(pixels.max()) < limit


def _of_other_sign() -> str:
    return f"The compressed frames have signed samples, which contradicts {tag_name(tags.PIXEL_REPRESENTATION)}."


def _fits(pixels: Array, layout: PixelLayout, precision: int) -> bool:
    """Return whether decoded values need no change: they have at most BitsStored bits, and the declared sign."""
    return precision <= layout.bits_stored and (pixels.dtype.kind == "i") == layout.signed


def _with_sign(pixels: Array, layout: PixelLayout) -> tuple[Array, int]:
    """Return the pixels as integers with the sign of PixelRepresentation, and the number of bits of their type."""
    cell = pixels.dtype.itemsize * 8
    return pixels.view(f"{'i' if layout.signed else 'u'}{pixels.dtype.itemsize}"), cell


def _shift(layout: PixelLayout, precision: int) -> int:
    """Return the lowest bit of the values. It is 0 if the samples do not reach up to HighBit."""
    return layout.high_bit + 1 - layout.bits_stored if layout.high_bit < precision else 0
