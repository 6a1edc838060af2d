"""Read which stored values are padding, and not pixels (PS3.3 C.7.5.1.1.2)."""

from typing import NamedTuple

import numpy as np

from imaging import tags
from imaging.elements import Elements
from imaging.pixel_layout import PixelLayout
from imaging.stored_bits import mask_unused_bits
from imaging.tags import tag_name
from imaging.walk import HeaderError

_WORD, _LONG = (2, "h", "H", np.int16, np.uint16), (4, "i", "I", np.int32, np.uint32)
_LONG_VRS = (b"SL", b"UL")
_BITS_OF_LONG = 32


class Padding(NamedTuple):
    """The padding of all frames."""

    range: tuple[float, float] | None = None
    """The lowest and highest stored value that is padding; None if there is none."""
    fault: str = ""
    """Why the padding of the header cannot be used; empty if nothing is wrong."""


def read_padding(elements: Elements, layout: PixelLayout) -> Padding:
    """Read the padding range, masked like the pixels. PixelRepresentation decides the sign, not the element's VR.

    A range of more than half of all values is ignored: its writer gave the range of the pixels, and the picture would
    be black. Raises HeaderError.
    """
    if layout.floating:
        return Padding(_float_padding(elements, layout))
    found = tags.PIXEL_PADDING_VALUE, tags.PIXEL_PADDING_RANGE_LIMIT
    if found[0] not in elements and found[1] not in elements:
        return Padding()
    values = [value for tag in found for value in _values(elements, tag, layout)]
    if not values:
        return Padding()
    low, high = min(values), max(values)
    if high - low >= 1 << layout.bits_stored - 1:
        name = tag_name(tags.PIXEL_PADDING_RANGE_LIMIT)
        return Padding(fault=f"{name} declares more than half of all values as padding; it was ignored.")
    return Padding((low, high))


def _values(elements: Elements, tag: int, layout: PixelLayout) -> list[int]:
    """Return the first number of an element as a stored value; empty if it is absent. Writers use 32 bits for such
    pixels, though the element has 16.
    """
    vr, _, length = elements.get(tag) or (b"", 0, 0)
    is_long = not vr and length == _LONG[0] and layout.bits_allocated == _BITS_OF_LONG
    size, with_sign, without, *types = _LONG if is_long or vr in _LONG_VRS else _WORD
    numbers = elements.unpack(_first_bytes(elements, tag, size), with_sign if layout.signed else without)
    stored = np.array(numbers, types[0] if layout.signed else types[1])
    if layout.bits_allocated == 8 * size and stored.size:
        stored = mask_unused_bits(stored, layout)
    return [int(value) for value in stored]


def _float_padding(elements: Elements, layout: PixelLayout) -> tuple[float, float] | None:
    """Read FloatPixelPaddingValue, or DoubleFloatPixelPaddingValue, with its range limit (PS3.3 C.7.6.24, C.7.6.25)."""
    double = layout.pixel_tag == tags.DOUBLE_FLOAT_PIXEL_DATA
    code, size = ("d", 8) if double else ("f", 4)
    found = tags.DOUBLE_FLOAT_PADDING if double else tags.FLOAT_PADDING
    values = [value for tag in found for value in elements.unpack(_first_bytes(elements, tag, size), code)]
    return (min(values), max(values)) if values else None


def _first_bytes(elements: Elements, tag: int, size: int) -> bytes:
    """Return the bytes of the first number of an element; empty if absent. Raises HeaderError if it is shorter."""
    raw = elements.raw(tag)[:size]
    if raw and len(raw) < size:
        raise HeaderError(f"{tag_name(tag)} is shorter than a number.")
    return raw
