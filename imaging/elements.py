"""Data elements of one DICOM data set, found by a walk over the bytes and converted only when asked for.

`pydicom.dcmread` makes an object of every element, some 150 us per file; a night has ten elements of use in each file.
"""

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR

from imaging.tags import PIXEL_DATA_TAGS, SPECIFIC_CHARACTER_SET

UNDEFINED = 0xFFFFFFFF
MAX_DEPTH = 32
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d", "OW": "H"}


class HeaderError(Exception):
    """The bytes are no well-formed data set, or a value is not of the type that its element has."""


class TruncatedError(HeaderError):
    """An element says it is longer than what is there."""


class Element(NamedTuple):
    """Where the value of one element lies; `vr` is empty with implicit VR."""

    vr: bytes
    start: int
    length: int


class Encoding(NamedTuple):
    """How a data set is written (PS3.5 section 7.1)."""

    implicit: bool
    little: bool


class Elements:
    """One data set or sequence item: a map from tag to Element over shared bytes. `end` is where the walk stopped."""

    __slots__ = ("_found", "data", "encoding", "end")

    def __init__(self, data: bytes, encoding: Encoding, start: int, end: int, *, depth: int = 0) -> None:
        """Walk until `end`, an item delimiter or the pixel data. Raises HeaderError and TruncatedError."""
        self.data = data
        self.encoding = encoding
        self._found: dict[int, Element] = {}
        self.end = _walk(data, encoding, start, end, self._found, depth)

    def __contains__(self, tag: int) -> bool:
        return tag in self._found

    def __len__(self) -> int:
        return len(self._found)

    def get(self, tag: int) -> Element | None:
        """Where the element lies; None where it is absent."""
        return self._found.get(tag)

    def raw(self, tag: int) -> bytes:
        """Bytes of a value of defined length; empty where the element is absent."""
        element = self._found.get(tag)
        if element is None or element.length == UNDEFINED:
            return b""
        return self.data[element.start : element.start + element.length]

    def text(self, tag: int) -> str | None:
        """The whole value as text without its padding; None where absent or empty."""
        raw = self.raw(tag)
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii").strip(" \x00") or None
        character_set = self.raw(SPECIFIC_CHARACTER_SET).decode("ascii", "replace").strip(" \x00").split("\\")
        return decode_bytes(raw, convert_encodings(character_set), set()).strip(" \x00") or None

    def numbers(self, tag: int) -> list[float]:
        """All values of a numeric element; empty where absent. Raises HeaderError for text that is no finite number."""
        element = self._found.get(tag)
        if element is None or element.length == 0:
            return []
        vr = self._vr(tag, element)
        raw = self.raw(tag)
        if vr in ("DS", "IS"):
            return [_finite(part) for part in raw.decode("ascii", "replace").strip(" \x00").split("\\") if part.strip()]
        if vr not in _BINARY:
            raise HeaderError("An element that needs a number has text.")
        return list(self.unpack(raw, _BINARY[vr]))

    def number(self, tag: int) -> float | None:
        """The first value of a numeric element; None where absent or empty."""
        values = self.numbers(tag)
        return values[0] if values else None

    def integer(self, tag: int) -> int | None:
        """The only value of an integer element; None where absent or empty. Raises HeaderError for anything else."""
        values = self.numbers(tag)
        if not values:
            return None
        if len(values) != 1 or values[0] != int(values[0]):
            raise HeaderError("An element that needs one integer has something else.")
        return int(values[0])

    def unpack(self, raw: bytes, code: str) -> tuple[float, ...]:
        """Binary values of one struct code in the byte order of the data set."""
        size = struct.calcsize(code)
        order = "<" if self.encoding.little else ">"
        return struct.unpack(f"{order}{len(raw) // size}{code}", raw[: len(raw) // size * size])

    def items(self, tag: int) -> Iterator["Elements"]:
        """Items of a sequence, one after the other. Raises HeaderError and TruncatedError."""
        element = self._found.get(tag)
        if element is None:
            return
        undefined = element.length == UNDEFINED
        # A sequence inside UN is written as implicit VR little endian whatever the file is (PS3.5 section 6.2.2).
        encoding = Encoding(implicit=True, little=True) if element.vr == b"UN" else self.encoding
        position = element.start
        end = len(self.data) if undefined else element.start + element.length
        while position < end:
            mark, length = _item_header(self.data, position, encoding)
            if mark != _ITEM:
                return
            position += 8
            item_end = end if length == UNDEFINED else position + length
            item = Elements(self.data, encoding, position, item_end, depth=1)
            yield item
            position = item.end if length == UNDEFINED else item_end

    def item(self, tag: int) -> "Elements | None":
        """The first item of a sequence; None where there is none."""
        return next(self.items(tag), None)

    def _vr(self, tag: int, element: Element) -> str:
        vr = element.vr.decode("ascii", "replace")
        if vr in ("", "UN"):
            vr = dictionary_VR(tag)
        return "US" if vr.startswith("US or") else vr


def _walk(data: bytes, encoding: Encoding, start: int, end: int, found: dict[int, Element], depth: int) -> int:
    implicit, little = encoding
    order = "<" if little else ">"
    explicit_header = struct.Struct(f"{order}HH2sH").unpack_from
    implicit_header = struct.Struct(f"{order}HHI").unpack_from
    long_length = struct.Struct(f"{order}I").unpack_from
    position, end = start, min(end, len(data))
    while position + 8 <= end:
        vr = b""
        if implicit:
            group, number, length = implicit_header(data, position)
            position += 8
        else:
            group, number, vr, length = explicit_header(data, position)
            if vr in _LONG_VRS:
                if position + 12 > end:
                    raise TruncatedError("The file ends within its header.")
                length = long_length(data, position + 8)[0]
                position += 12
            elif vr.isalpha() and vr.isupper():
                position += 8
            else:  # Some writers change to implicit VR in the middle.
                vr = b""
                length = long_length(data, position + 4)[0]
                position += 8
        tag = group << 16 | number
        if tag == _ITEM_END:
            return position
        found[tag] = Element(vr, position, length)
        if depth == 0 and tag in PIXEL_DATA_TAGS:
            return position
        if length == UNDEFINED:
            position = _skip_items(data, _inner(encoding, vr), position, depth + 1)
        elif length > end - position:
            raise TruncatedError("The file ends within its header.")
        else:
            position += length
    return position


def _skip_items(data: bytes, encoding: Encoding, position: int, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise HeaderError("Sequences are nested too deep.")
    while True:
        tag, length = _item_header(data, position, encoding)
        position += 8
        if tag == _SEQUENCE_END:
            return position
        if tag != _ITEM:
            raise HeaderError("A sequence holds something that is no item.")
        if length == UNDEFINED:
            position = _walk(data, encoding, position, len(data), {}, depth)
        else:
            position += length


def _inner(encoding: Encoding, vr: bytes) -> Encoding:
    return Encoding(implicit=True, little=True) if vr == b"UN" else encoding


def _item_header(data: bytes, position: int, encoding: Encoding) -> tuple[int, int]:
    if position + 8 > len(data):
        raise TruncatedError("The file ends within a sequence.")
    group, number, length = struct.unpack_from("<HHI" if encoding.little else ">HHI", data, position)
    return group << 16 | number, length


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise HeaderError("An element that needs a number has text.") from None
    if not math.isfinite(value):
        raise HeaderError("A number in the header is not finite.")
    return value
