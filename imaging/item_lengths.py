"""Find the end and the last item of a sequence by the lengths of its items, without reading their elements."""

import struct

from imaging.walk import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED

_HEADERS = struct.Struct(">HHI"), struct.Struct("<HHI")
"""The format of an item header, big endian and little endian; the index is `little`."""
_ITEM_HEADER_BYTES = 8


def items_end(data: bytes, start: int, said_end: int, end: int, *, little: bool) -> int | None:
    """Return the end of the items of a sequence if it lies behind the declared end (`said_end`), else None.

    Returns UNDEFINED if the items go on behind the declared end, but their lengths do not tell how far. This is so if
    another item begins at the declared end, or if the content of an item of undefined length begins there.
    """
    unpack = _HEADERS[little].unpack_from
    at: int = start
    while at + _ITEM_HEADER_BYTES <= end:
        group, number, length = unpack(data, at)
        tag = group << 16 | number
        if at >= said_end:
            return UNDEFINED if tag == ITEM else None
        if tag not in (ITEM, ITEM_END, SEQUENCE_END):
            return None
        at += _ITEM_HEADER_BYTES
        if tag == ITEM and length == UNDEFINED:
            return UNDEFINED if at >= said_end else None
        at += length
        if at > said_end:
            return at
    return None


def last_item(data: bytes, start: int, end: int, *, little: bool) -> int:
    """Return the position of the first element of the last item."""
    unpack, at, last = _HEADERS[little].unpack_from, start, start
    while at + _ITEM_HEADER_BYTES <= end:
        length = unpack(data, at)[2]
        last = at + _ITEM_HEADER_BYTES
        if length == UNDEFINED:
            break
        at = last + length
    return last
