"""Walk over bytes made by hand with the careful walk, and write what is irregular."""

import struct
from contextlib import suppress

import pytest
from test_imaging_elements import implicit, short

from imaging.careful_walk import CarefulWalk
from imaging.walk import Element, Encoding, HeaderError

EXPLICIT, IMPLICIT = Encoding(implicit=False, little=True), Encoding(implicit=True, little=True)
BIG = Encoding(implicit=False, little=False)
MODALITY, SEQUENCE, COMMENTS, ROWS = 0x00080060, 0x00180012, 0x00204000, 0x00280010
PRIVATE, PIXELS = 0x00291001, 0x7FE00010
ITEM, ITEM_END, SEQUENCE_END = (implicit(tag, b"") for tag in (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))
OPEN = 0xFFFFFFFF
OPEN_ITEM = implicit(0xFFFEE000, b"", length=OPEN)
CT, FIVE = short(MODALITY, "CS", b"CT"), short(ROWS, "US", b"\x05\x00")
"""Two regular elements of ten bytes each."""


def item(content: bytes, *, length: int | None = None) -> bytes:
    """Return an item of defined length."""
    return implicit(0xFFFEE000, content, length=length)


def header(tag: int, vr: bytes, number: int) -> bytes:
    """Return the first eight bytes of an element with explicit VR, as they are written."""
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, number)


def walked(
    data: bytes, encoding: Encoding = EXPLICIT, *, start: int = 0, end: int | None = None, **options: int
) -> tuple[dict[int, Element], int]:
    """Return the elements that were found, and the position behind them."""
    found: dict[int, Element] = {}
    stop = len(data) if end is None else end
    return found, CarefulWalk(data, encoding).walk(start, stop, found, **options)


def failure(data: bytes, encoding: Encoding = EXPLICIT, *, end: int | None = None, **options: int) -> tuple[type, str]:
    """Return type and message of the error."""
    with pytest.raises(HeaderError) as raised:
        walked(data, encoding, end=end, **options)
    return raised.type, str(raised.value)


def reading(data: bytes, tag: int, encoding: Encoding = EXPLICIT, *, end: int | None = None) -> Element | None:
    """Return how the header of an element is read, whether or not the rest can be read."""
    found: dict[int, Element] = {}
    with suppress(HeaderError):
        CarefulWalk(data, encoding).walk(0, len(data) if end is None else end, found)
    return found.get(tag)
