"""Numbers that were written with a VR of text."""

import struct

import pytest

from imaging.elements import Elements
from imaging.walk import Encoding, HeaderError

ROWS, SLOPE = 0x00280010, 0x00281053


def elements(tag: int, text: bytes) -> Elements:
    """Return a data set with one element of VR LO."""
    data = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"LO", len(text)) + text
    return Elements(data, Encoding(implicit=False, little=True), 0, len(data))


def test_numbers_in_a_vr_of_text() -> None:
    """Digits are digits, if the element should have them; two bytes of Rows may be anything."""
    assert elements(SLOPE, b"1.5 ").numbers(SLOPE) == [1.5]
    with pytest.raises(HeaderError, match=r"Rows \(0028,0010\) must be a number, but has a VR of text."):
        elements(ROWS, b"64").numbers(ROWS)
