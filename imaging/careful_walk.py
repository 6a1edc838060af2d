"""Walk over the data elements of a data set that breaks the rules of DICOM PS3.5, section 7.

Devices and archives write, for example, a VR that does not exist or is in lower case, a length that does not count the
padding, a missing or wrong delimiter, a sequence whose length is wrong, or zeros at the end. For each element, this
walk chooses the interpretation after which another element follows. `imaging.walk` is ten times faster, but raises
HeaderError for such a data set.
"""

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from imaging.element_order import NEEDED, ElementOrder
from imaging.item_lengths import items_end, last_item
from imaging.tags import PIXEL_DATA_TAGS, tag_name
from imaging.walk import (
    ITEM,
    ITEM_END,
    LONG_VRS,
    MAX_DEPTH,
    MAX_ELEMENTS,
    NO_TAG,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED,
    Element,
    Encoding,
    HeaderError,
    TruncatedError,
    is_vr,
    item_encoding,
)

_DELIMITERS = (ITEM, ITEM_END, SEQUENCE_END)
_SEQUENCE_VRS = (b"SQ", b"UN", b"")
_FIRST_PRINTABLE, _LAST_PRINTABLE = 0x20, 0x7E
_NO_VR = b"\x00\x00"
_PADDING = (b"\x00", b" ")
_SOME_ZEROS = 64
"""If 64 zero bytes follow an element, the rest counts as padding; `walk` later checks that all of it is zeros."""
_FIRST_GROUP = 0x00020000
_ITEM_HEADERS = struct.Struct(">HHI"), struct.Struct("<HHI")
"""The format of an item header, big endian and little endian; the index is Encoding.little."""
_NOT_ZERO = re.compile(rb"[^\x00]")


class _Reading(NamedTuple):
    """One way to read the header of an element."""

    vr: bytes
    header: int
    length: int
    padding: int = 0
    """Number of bytes behind the value that `length` does not count."""


class CarefulWalk:
    """Walks over one data set or item."""

    __slots__ = ("_data", "_encoding", "_zeros")

    def __init__(self, data: bytes, encoding: Encoding) -> None:
        self._data = data
        self._encoding = encoding
        self._zeros = (0, 0)
        """Start and end of the zeros that were found last."""

    def walk(self, start: int, end: int, found: dict[int, Element], *, before: int = NO_TAG, depth: int = 0) -> int:
        """Add the elements from `start` to `found`, and return the position behind the last one.

        Stop at `end` or at the first tag >= `before`. A data set (depth 0) also ends at its pixel data, and an item
        (depth > 0) behind its delimiter. Raises HeaderError and TruncatedError, which name tag and offset.
        """
        position = start
        order = ElementOrder(self._data, found, self._last_inner) if depth == 0 else None
        for _ in range(MAX_ELEMENTS):
            if self._only_zeros(position, end):
                return end
            tag = self._tag(position, end)
            if tag >= before:
                return position
            if tag in _DELIMITERS:
                if depth:  # An item that has no delimiter ends where the next one begins.
                    return position + 8 if tag == ITEM_END else position
                position = self._skip_items(tag, position, end, 1) if tag == ITEM else position + 8
                continue
            vr, header, length, padding = self._reading(tag, position, end, depth)
            offset, position = position, position + header
            if order is None:
                found.setdefault(tag, (vr, position, length))
            else:
                order.add(tag, offset, (vr, position, length))
            if depth == 0 and tag in PIXEL_DATA_TAGS:
                return position
            if length == UNDEFINED:
                inner = CarefulWalk(self._data, item_encoding(self._data, self._encoding, vr, position))
                position = inner._skip_items(tag, position, end, depth + 1)
            elif length > end - position:
                raise self._ends_within(f"{tag_name(tag)} at offset {offset:,}", end)
            else:
                position += length + padding
        raise HeaderError(f"A data set has too many elements. The last one read is {tag_name(tag)}.")

    def _skip_items(self, owner: int, position: int, end: int, depth: int) -> int:
        """Return the position behind a sequence of undefined or wrong length, whose first item is at `position`."""
        start, header = position, _ITEM_HEADERS[self._encoding.little].unpack_from
        if depth > MAX_DEPTH:
            at = f"{tag_name(owner)}, value at offset {start:,}"
            raise HeaderError(f"Sequences are nested deeper than {MAX_DEPTH} levels: {at}.")
        while position + 8 <= end:
            group, number, length = header(self._data, position)
            tag = group << 16 | number
            if tag == SEQUENCE_END:
                return position + 8
            if tag not in (ITEM, ITEM_END):  # The delimiter of the sequence is missing.
                return position
            position += 8
            if tag == ITEM_END:  # It may replace the delimiter of the sequence, or follow an item of defined length.
                continue
            if length <= end - position and self._ends_item(position + length, end):
                position += length
            else:
                position = self.walk(position, end, {}, depth=depth)
        if end < len(self._data):
            return end
        raise self._ends_within(f"the sequence {tag_name(owner)}, value at offset {start:,}", end)

    def _is_cut(self, owner: int, reading: _Reading, position: int, end: int) -> bool:
        """Return whether `reading` is a sequence whose declared end lies before the end of its last item."""
        start = position + reading.header
        if reading.vr not in _SEQUENCE_VRS or not self._begins_sequence(start, end):
            return False
        little = item_encoding(self._data, self._encoding, reading.vr, start).little
        behind = items_end(self._data, start, start + reading.length, end, little=little)
        return behind is not None and (behind == UNDEFINED or self._is_next_element(owner, behind, end))

    def _is_next_element(self, owner: int, position: int, end: int) -> bool:
        """Return whether zeros, the end, or an element with a tag above `owner` follow at `position`."""
        is_lower = position + 8 <= end and 0 < self._tag(position, end) <= owner
        return not is_lower and self._element_follows(owner, position, end)

    def _last_inner(self, start: int, end: int) -> int:
        """Return the last tag of the last item between two positions; 0 if it cannot be read."""
        first = last_item(self._data, start, end, little=self._encoding.little)
        found: dict[int, Element] = {}
        with suppress(HeaderError):
            CarefulWalk(self._data, self._encoding).walk(first, end, found, depth=1)
        return max(found, default=0)

    def _ends_item(self, position: int, end: int) -> bool:
        if position + 8 > end:
            return True
        # A shortcut: without it, a file with a million empty items takes twice as long.
        group, number, _ = _ITEM_HEADERS[self._encoding.little].unpack_from(self._data, position)
        return group << 16 | number in _DELIMITERS or self._element_follows(0, position, end)

    def _reading(self, tag: int, position: int, end: int, depth: int) -> _Reading:
        """Return the first reading after which another element follows.

        If there is none, return the first reading that begins a sequence, since the length of a sequence may be wrong;
        else the first reading that fits into the data.
        """
        readings = list(self._readings(position, end))
        if not readings:
            raise self._ends_within(f"{tag_name(tag)} at offset {position:,}", end)
        if depth == 0 and tag in PIXEL_DATA_TAGS:
            return self._pixel_reading(readings, position)
        for reading in readings:
            behind = position + sum(reading[1:])
            if reading.length == UNDEFINED:
                if self._begins_sequence(position + reading.header, end):
                    return reading
            elif self._element_follows(tag, behind, end) and not self._is_cut(tag, reading, position, end):
                return self._padded(tag, reading, position) if reading.padding else reading
        for reading in readings:  # a sequence whose length is wrong
            if self._begins_sequence(position + reading.header, end):
                return reading._replace(length=UNDEFINED)
        return next((reading for reading in readings if position + sum(reading[1:]) <= end), readings[0])

    def _padded(self, tag: int, reading: _Reading, position: int) -> _Reading:
        """Return a reading of odd length. If the next byte certainly belongs to the value, the length includes it.

        Raises HeaderError if nightread needs the value and the next byte may belong to it.
        """
        if _is_words(tag, reading.vr):
            return reading._replace(length=reading.length + 1, padding=0)
        behind = position + reading.header + reading.length
        if tag in NEEDED and self._data[behind : behind + 1] not in _PADDING:
            raise HeaderError(
                f"{tag_name(tag)} at offset {position:,} has a value that is longer than its length says."
            )
        return reading

    def _readings(self, position: int, end: int) -> Iterator[_Reading]:
        """Yield the possible readings, the most probable one first."""
        for reading in self._unpadded_readings(position):
            if position + reading.header <= end:
                yield reading
                if reading.length % 2:
                    yield reading._replace(padding=1)

    def _unpadded_readings(self, position: int) -> Iterator[_Reading]:
        written = self._data[position + 4 : position + 6]
        vr = written.upper()
        implicit = _Reading(b"", 8, self._number("I", position + 4))
        short, long = self._number("H", position + 6), self._number("I", position + 8)
        printable = written == _NO_VR or all(_FIRST_PRINTABLE <= byte <= _LAST_PRINTABLE for byte in written)
        if self._encoding.implicit:
            yield implicit
        if vr in SHORT_VRS:
            yield _Reading(vr, 8, short)
        elif vr in LONG_VRS:
            yield _Reading(vr, 12, long)
            if short:  # These two bytes are reserved and zero, unless they hold the length.
                yield _Reading(vr, 8, short)
        elif not self._encoding.implicit:
            invalid = [_Reading(b"", 8, short), *([] if short else [_Reading(b"", 12, long)])]
            yield from (*invalid, implicit) if printable else (implicit, *invalid)

    def _pixel_reading(self, readings: list[_Reading], position: int) -> _Reading:
        """Return the reading of the pixel data: the one that ends with the file, else the longest that fits."""
        if readings[0].vr or self._encoding.implicit:
            return readings[0]
        left = len(self._data) - position
        fitting = [each for each in readings if each.length == UNDEFINED or each.header + each.length <= left]
        to_the_end = [each for each in fitting if each.header + each.length == left]
        return max(to_the_end or fitting or readings, key=lambda reading: reading.length)

    def _element_follows(self, tag: int, position: int, end: int) -> bool:
        """Return whether an element, a delimiter, zeros or the end follow at `position`, after an element `tag`."""
        if position > end:
            return False
        if not self._data[position : min(position + _SOME_ZEROS, end)].strip(b"\x00"):
            return True
        return position + 8 <= end and self._is_element(position, end, after=tag)

    def _is_element(self, position: int, end: int, *, after: int) -> bool:
        """Return whether an element or delimiter begins here, by its tag, its VR and its length."""
        tag = self._tag(position, end)
        if tag in _DELIMITERS:
            return True
        is_known = tag >= _FIRST_GROUP and dictionary_has_tag(tag)
        if not self._encoding.implicit and is_vr(self._data[position + 4 : position + 6].upper()):
            return tag > after or is_known
        length = self._number("I", position + 4)
        fits = length == UNDEFINED or length <= end - position - 8 or tag in PIXEL_DATA_TAGS
        if is_known:
            return fits or not self._encoding.implicit
        return bool(tag >> 16 & 1) and tag > after and fits

    def _begins_sequence(self, position: int, end: int) -> bool:
        return position + 8 <= end and self._tag(position, end) in (ITEM, SEQUENCE_END)

    def _only_zeros(self, position: int, end: int) -> bool:
        """Return whether only zeros are left, which are padding."""
        if self._data[position : min(position + 8, end)].strip(b"\x00"):
            return False
        if not self._zeros[0] <= position < self._zeros[1]:
            found = _NOT_ZERO.search(self._data, position)
            self._zeros = position, found.start() if found else len(self._data)
        return self._zeros[1] >= end

    def _tag(self, position: int, end: int) -> int:
        if position + 8 > end:
            raise self._ends_within(f"the header of an element at offset {position:,}", end)
        return self._number("H", position) << 16 | self._number("H", position + 2)

    def _number(self, code: str, position: int) -> int:
        """Return an unsigned number. Bytes behind the end of the data are left out."""
        raw = self._data[position : position + struct.calcsize(code)]
        return int.from_bytes(raw, "little" if self._encoding.little else "big")

    def _ends_within(self, place: str, end: int) -> HeaderError:
        if end < len(self._data):
            return HeaderError(f"A sequence item is too short: it ends within {place}.")
        return TruncatedError(f"The file ends within {place}.")


def _is_words(tag: int, vr: bytes) -> bool:
    """Return whether the value of an element is made of 16-bit integers."""
    if vr in (b"", b"UN") and dictionary_has_tag(tag):
        vr = dictionary_VR(tag)[:2].encode()
    return vr in (b"US", b"SS")
