"""Walk over the data elements of a data set that is encoded as DICOM PS3.5, section 7, requires."""

import struct
from typing import NamedTuple

from imaging.tags import PIXEL_DATA_TAGS

UNDEFINED = 0xFFFFFFFF
NO_TAG = 1 << 32
MAX_DEPTH = 32
MAX_ELEMENTS = 100_000
"""Limit per data set or item. An element takes at least 8 bytes of the file, but about 240 bytes of memory."""
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_VR_LIKE = 0x2020
"""An element of implicit VR has its length where an element of explicit VR has two letters. A length from this number
on may really be the letters of an unknown VR."""
_EVERY_ELEMENT = range(MAX_ELEMENTS)
_LITTLE, _BIG = (
    tuple(struct.Struct(order + code).unpack_from for code in ("HH2sH", "HHI", "I")) for order in ("<", ">")
)


class HeaderError(Exception):
    """The data set is malformed, or a value does not have the type of its element."""


class TruncatedError(HeaderError):
    """The data end within an element."""


class Encoding(NamedTuple):
    """The encoding of a data set: implicit or explicit VR, little or big endian (PS3.5 section 7.1)."""

    implicit: bool
    little: bool


Element = tuple[bytes, int, int]
"""VR (empty with implicit or invalid VR), position of the value, and length of the value in bytes."""


def walk(  # noqa: C901, PLR0912 - one function for speed: this is the hot path
    data: bytes, encoding: Encoding, start: int, end: int, found: dict[int, Element], *, before: int, depth: int
) -> int:
    """Add the elements from `start` to `found`, and return the position behind the last one.

    Stop at `end` or at the first tag >= `before`. A data set (depth 0) also ends at its pixel data, and an item
    (depth > 0) behind its delimiter. Raises HeaderError without a message at the first irregularity:
    imaging.careful_walk reads irregular data sets.
    """
    implicit, little = encoding
    explicit_header, implicit_header, long_length = _LITTLE if little else _BIG
    position, last = start, -1
    for _ in _EVERY_ELEMENT:
        if position + 8 > end:
            break
        group, number, vr, length = explicit_header(data, position)
        tag = group << 16 | number
        if not last < tag < before:
            if tag >= before:
                return position
            raise HeaderError  # The tags of a data set ascend (PS3.5 section 7.1).
        last, header = tag, 8
        if implicit or vr not in SHORT_VRS:
            if implicit or vr not in LONG_VRS:  # Some writers switch to implicit VR within a data set.
                vr, length = b"", implicit_header(data, position)[2]
                if not implicit and _VR_LIKE <= length < UNDEFINED:
                    raise HeaderError
            elif position + 12 > end:
                raise HeaderError
            else:
                header, length = 12, long_length(data, position + 8)[0]
        position += header
        if tag >= ITEM:
            if tag == ITEM_END and depth:
                return position
            raise HeaderError
        found[tag] = vr, position, length
        if depth == 0 and tag in PIXEL_DATA_TAGS:
            if not vr and not implicit:
                raise HeaderError
            return position
        if length == UNDEFINED:
            position = _skip_items(data, item_encoding(data, encoding, vr, position), position, depth + 1)
        elif length > end - position:
            raise HeaderError
        else:
            position += length
    else:
        raise HeaderError
    if data[position:end].strip(b"\x00"):
        raise HeaderError
    return end


def item_encoding(data: bytes, encoding: Encoding, vr: bytes, position: int) -> Encoding:
    """Return the encoding of the items of a sequence whose value begins at `position`.

    The items of a sequence with VR UN have implicit VR and are little endian (PS3.5 section 6.2.2). Some writers keep
    explicit VR. This is assumed if a VR follows the tag of the first element of the first item. The 16-bit length of a
    short VR must then not be 0, because the same bytes could be the length of an element of implicit VR.
    """
    if vr != b"UN":
        return encoding
    first_vr, first_length = data[position + 12 : position + 14], data[position + 14 : position + 16]
    explicit = first_vr in LONG_VRS or (first_vr in SHORT_VRS and first_length != b"\x00\x00")
    return Encoding(implicit=not explicit, little=True)


def is_vr(vr: bytes) -> bool:
    """Return whether the two bytes are a VR of PS3.5 section 6.2."""
    return vr in SHORT_VRS or vr in LONG_VRS


def item_header(data: bytes, position: int, encoding: Encoding) -> tuple[int, int]:
    """Return tag and length of an item or delimiter. Raises HeaderError without a message at the end of the data."""
    if position + 8 > len(data):
        raise HeaderError
    group, number, length = (_LITTLE if encoding.little else _BIG)[1](data, position)
    return group << 16 | number, length


def _skip_items(data: bytes, encoding: Encoding, position: int, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise HeaderError
    while True:
        tag, length = item_header(data, position, encoding)
        position += 8
        if tag == SEQUENCE_END:
            return position
        if tag != ITEM:
            raise HeaderError
        if length == UNDEFINED:
            position = walk(data, encoding, position, len(data), {}, before=NO_TAG, depth=depth)
        else:
            position += length
