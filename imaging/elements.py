"""Find the data elements of a DICOM data set, and convert a value only when it is read.

nightread reads about ten elements per file. `pydicom.dcmread` makes an object of every element, which takes about
150 us per file.
"""

import math
import struct
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.valuerep import TEXT_VR_DELIMS

from imaging.tags import PIXEL_DATA_TAGS, SPECIFIC_CHARACTER_SET

UNDEFINED = 0xFFFFFFFF
NO_TAG = 1 << 32
MAX_DEPTH = 32
MAX_ELEMENTS = 100_000
"""Limit per data set or item. An element takes at least 8 bytes of the file, but about 240 bytes of memory."""
MAX_VALUE_BYTES = 1024**2
"""Values are cut to this length when they are read, so that no value of gigabytes is copied, split and decoded."""
_MAX_TEXT_BYTES = 4096
_MAX_NUMBERS_BYTES = 0xFFFF
"""Maximum length of a value with a 16-bit length field (PS3.5 section 7.1.2)."""
_EVERY_ELEMENT = range(MAX_ELEMENTS)
_ESCAPE = b"\x1b"
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LITTLE, _BIG = (
    tuple(struct.Struct(order + code).unpack_from for code in ("HH2sH", "HHI", "I")) for order in ("<", ">")
)
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d", "OW": "H"}


class HeaderError(Exception):
    """The data set is malformed, or a value does not have the type of its element."""


class TruncatedError(HeaderError):
    """The data ends within an element."""


class Encoding(NamedTuple):
    """The encoding of a data set: implicit or explicit VR, little or big endian (PS3.5 section 7.1)."""

    implicit: bool
    little: bool


Element = tuple[bytes, int, int]
"""VR (empty with implicit VR), position of the value, and length of the value in bytes."""


class Elements:
    """One data set or sequence item: a map from tag to Element. It does not copy the bytes.

    An incomplete or malformed data set keeps the elements before the error; `fault` holds the error.
    """

    __slots__ = ("_found", "data", "encoding", "end", "fault", "start")

    def __init__(self, data: bytes, encoding: Encoding, start: int, end: int, *, before: int = NO_TAG) -> None:
        """Walk over the elements, up to `end`, an item delimiter, the pixel data or the first tag >= `before`."""
        self.data = data
        self.encoding = encoding
        self.fault: HeaderError | None = None
        self.start = start
        self.end = start
        """Position at which the walk stopped."""
        self._found: dict[int, Element] = {}
        try:
            self.end = _walk(data, encoding, start, min(end, len(data)), self._found, before=before)
        except HeaderError as error:
            self.fault = error

    def __contains__(self, tag: int) -> bool:
        return tag in self._found

    def __iter__(self) -> Iterator[int]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def get(self, tag: int) -> Element | None:
        """Return VR, position and length of an element; None if it is absent."""
        return self._found.get(tag)

    def raw(self, tag: int) -> bytes:
        """Return the bytes of a value, at most MAX_VALUE_BYTES; empty if it is absent or of undefined length."""
        element = self._found.get(tag)
        if element is None or element[2] == UNDEFINED:
            return b""
        _, position, length = element
        end = position + (length if length < MAX_VALUE_BYTES else MAX_VALUE_BYTES)  # noqa: FURB136 - in the hot path
        return self.data[position:end]

    def text(self, tag: int) -> str | None:
        """Return the first 4 KiB of a value as text, with backslashes but without padding; None if absent or empty."""
        raw = self.raw(tag)[:_MAX_TEXT_BYTES]
        if raw.isascii() and _ESCAPE not in raw:
            return raw.decode("ascii").strip(" \x00") or None
        names = self.raw(SPECIFIC_CHARACTER_SET).decode("ascii", "replace").split("\\")
        return _decoded(raw, names).strip(" \x00") or None

    def numbers(self, tag: int) -> list[float]:
        """Return all values of a numeric element; empty if absent. Raises HeaderError unless all are finite numbers."""
        element = self._found.get(tag)
        if element is None:
            return []
        if element[2] > _MAX_NUMBERS_BYTES:
            raise HeaderError("A numeric header element is too long.")
        vr = _vr_of(tag, element[0])
        raw = self.raw(tag)
        if vr in ("DS", "IS"):
            return [_finite(part) for part in raw.decode("ascii", "replace").strip(" \x00").split("\\") if part.strip()]
        if vr not in _BINARY:
            raise HeaderError("A numeric header element holds text.")
        values = list(self.unpack(raw, _BINARY[vr]))
        if not all(math.isfinite(value) for value in values):
            raise HeaderError("A number in the header is not finite.")
        return values

    def number(self, tag: int) -> float | None:
        """Return the first value of a numeric element; None if absent or empty. Raises HeaderError."""
        values = self.numbers(tag)
        return values[0] if values else None

    def integer(self, tag: int) -> int | None:
        """Return the only value of an integer element; None if absent or empty. Raises HeaderError for other values."""
        element = self._found.get(tag)
        if element is not None and element[0] == b"US" and element[2] == 2:  # noqa: PLR2004 - the common case
            return int.from_bytes(self.raw(tag), "little" if self.encoding.little else "big")
        values = self.numbers(tag)
        if not values:
            return None
        if len(values) != 1 or values[0] != int(values[0]):
            raise HeaderError("A header element that must hold one integer holds another value.")
        return int(values[0])

    def unpack(self, raw: bytes, code: str) -> tuple[float, ...]:
        """Unpack binary values of one struct code in the byte order of the data set."""
        size = struct.calcsize(code)
        order = "<" if self.encoding.little else ">"
        return struct.unpack(f"{order}{len(raw) // size}{code}", raw[: len(raw) // size * size])

    def items(self, tag: int) -> Iterator["Elements"]:
        """Yield the items of a sequence; none if it is absent. Raises HeaderError and TruncatedError."""
        element = self._found.get(tag)
        if element is None:
            return
        vr, position, length = element
        encoding = _inner(self.encoding, vr)
        end = len(self.data) if length == UNDEFINED else position + length
        while position < end:
            mark, length = _item_header(self.data, position, encoding)
            if mark != _ITEM:
                return
            position += 8
            item_end = end if length == UNDEFINED else position + length
            item = Elements(self.data, encoding, position, item_end)
            if item.fault:
                raise item.fault
            yield item
            position = item.end if length == UNDEFINED else item_end

    def item(self, tag: int) -> "Elements | None":
        """Return the first item of a sequence; None if there is none. Raises HeaderError and TruncatedError."""
        return next(self.items(tag), None)


def _walk(  # noqa: C901, PLR0912 - one function for speed: this is the hot path
    data: bytes, encoding: Encoding, start: int, end: int, found: dict[int, Element], *, before: int, depth: int = 0
) -> int:
    implicit, little = encoding
    explicit_header, implicit_header, long_length = _LITTLE if little else _BIG
    position = start
    for _ in _EVERY_ELEMENT:
        if position + 8 > end:
            break
        group, number, vr, length = explicit_header(data, position)
        header = 8
        if implicit or vr not in _SHORT_VRS:
            if implicit or vr not in _LONG_VRS:  # Some writers switch to implicit VR within a data set.
                vr, length = b"", implicit_header(data, position)[2]
            elif position + 12 > end:
                raise TruncatedError("The file ends within its header.")
            else:
                header, length = 12, long_length(data, position + 8)[0]
        tag = group << 16 | number
        if tag >= before:
            return position
        position += header
        if tag == _ITEM_END:
            return position
        found[tag] = vr, position, length
        if depth == 0 and tag in PIXEL_DATA_TAGS:
            return position
        if length == UNDEFINED:
            position = _skip_items(data, _inner(encoding, vr), position, depth + 1)
        elif length > end - position:
            raise TruncatedError("The file ends within its header.")
        else:
            position += length
    else:
        raise HeaderError("A data set has too many elements.")
    if data[position:end].strip(b"\x00"):
        raise TruncatedError("The file ends within its header.")
    return end


def _skip_items(data: bytes, encoding: Encoding, position: int, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise HeaderError("Sequences are nested too deep.")
    while True:
        tag, length = _item_header(data, position, encoding)
        position += 8
        if tag == _SEQUENCE_END:
            return position
        if tag != _ITEM:
            raise HeaderError("A sequence holds an element that is not an item.")
        if length == UNDEFINED:
            position = _walk(data, encoding, position, len(data), {}, before=NO_TAG, depth=depth)
        else:
            position += length


def _inner(encoding: Encoding, vr: bytes) -> Encoding:
    # A sequence with VR UN is always little endian (PS3.5 section 6.2.2).
    return Encoding(implicit=encoding.implicit, little=True) if vr == b"UN" else encoding


def _item_header(data: bytes, position: int, encoding: Encoding) -> tuple[int, int]:
    if position + 8 > len(data):
        raise TruncatedError("The file ends within a sequence.")
    group, number, length = struct.unpack_from("<HHI" if encoding.little else ">HHI", data, position)
    return group << 16 | number, length


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise HeaderError("A numeric header element holds text.") from None
    if not math.isfinite(value):
        raise HeaderError("A number in the header is not finite.")
    return value


def _vr_of(tag: int, written: bytes) -> str:
    vr = written.decode("ascii", "replace")
    if vr in ("", "UN"):
        vr = dictionary_VR(tag)
    return "US" if vr.startswith("US or") else vr


def _decoded(raw: bytes, character_sets: list[str]) -> str:
    encodings = [
        python_encoding[name.strip(" \x00")] for name in character_sets if name.strip(" \x00") in python_encoding
    ]
    if _ESCAPE not in raw:
        return raw.decode(encodings[0] if encodings else "latin_1", "replace")
    with warnings.catch_warnings():  # The warnings would quote the header.
        warnings.simplefilter("ignore")
        return str(decode_bytes(raw, encodings or ["latin_1"], TEXT_VR_DELIMS))
