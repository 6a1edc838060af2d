"""Find the data elements of a DICOM data set, and convert a value only when it is read.

nightread reads about ten elements per file. `pydicom.dcmread` makes an object of every element, which takes about
150 us per file.
"""

import math
import struct
import warnings
from collections.abc import Collection, Iterator
from functools import lru_cache

from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.valuerep import TEXT_VR_DELIMS

from imaging.careful_walk import CarefulWalk
from imaging.tags import SPECIFIC_CHARACTER_SET, tag_name
from imaging.walk import (
    ITEM,
    ITEM_END,
    NO_TAG,
    UNDEFINED,
    Element,
    Encoding,
    HeaderError,
    TruncatedError,
    item_encoding,
    item_header,
    walk,
)

MAX_VALUE_BYTES = 1024**2
"""Values are cut to this length when they are read, so that no value of gigabytes is copied, split and decoded."""
_MAX_TEXT_BYTES = 4096
_MAX_NUMBERS_BYTES = 0xFFFF
"""Maximum length of a value with a 16-bit length field (PS3.5 section 7.1.2)."""
_ESCAPE = b"\x1b"
_DIGITS = ("DS", "IS")
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d", "OW": "H"}


class Elements:
    """One data set or sequence item: a map from tag to Element. It does not copy the bytes.

    An incomplete or malformed data set keeps the elements before the error; `fault` holds the error.
    """

    __slots__ = ("data", "encoding", "end", "fault", "found", "is_regular", "start")

    def __init__(
        self, data: bytes, encoding: Encoding, start: int, end: int, *, before: int = NO_TAG, depth: int = 0
    ) -> None:
        """Walk over the elements, up to `end`, an item delimiter, the pixel data or the first tag >= `before`.

        `depth` is 0 for a data set, and more for an item.
        """
        self.data = data
        self.encoding = encoding
        self.fault: HeaderError | None = None
        self.start = start
        self.end = start
        """Position at which the walk stopped."""
        self.found: dict[int, Element] = {}
        self.is_regular = True
        """Whether the data set is encoded as DICOM requires, so that `walk` could read it."""
        limit = min(end, len(data))
        try:
            self.end = walk(data, encoding, start, limit, self.found, before=before, depth=depth)
        except HeaderError:
            self.is_regular = False
            self._walk_carefully(limit, before, depth)

    @classmethod
    def at_known_places(
        cls, data: bytes, encoding: Encoding, start: int, end: int, found: dict[int, Element]
    ) -> "Elements":
        """Return the elements of a regular data set without a walk.

        `found` are the elements that a walk would find, and `end` is the position where it would stop.
        """
        elements = cls.__new__(cls)
        elements.data, elements.encoding, elements.start, elements.end = data, encoding, start, end
        elements.fault, elements.found, elements.is_regular = None, found, True
        return elements

    def only(self, tags: Collection[int]) -> "Elements":
        """Return the data set with only the elements of these tags."""
        found = {tag: element for tag, element in self.found.items() if tag in tags}
        return Elements.at_known_places(self.data, self.encoding, self.start, self.end, found)

    def _walk_carefully(self, end: int, before: int, depth: int) -> None:
        self.found.clear()
        try:
            walk_of_this = CarefulWalk(self.data, self.encoding).walk
            self.end = walk_of_this(self.start, end, self.found, before=before, depth=depth)
        except HeaderError as error:
            self.fault = error

    def __contains__(self, tag: int) -> bool:
        return tag in self.found

    def __iter__(self) -> Iterator[int]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def get(self, tag: int) -> Element | None:
        """Return VR, position and length of an element; None if it is absent."""
        return self.found.get(tag)

    def raw(self, tag: int) -> bytes:
        """Return the first MAX_VALUE_BYTES of a value; empty if the element is absent or of undefined length."""
        element = self.found.get(tag)
        if element is None or element[2] == UNDEFINED:
            return b""
        _, position, length = element
        end = position + (length if length < MAX_VALUE_BYTES else MAX_VALUE_BYTES)  # noqa: FURB136 - in the hot path
        return self.data[position:end]

    def text(self, tag: int) -> str | None:
        """Return the first 4 KiB of a value as text, with backslashes but without padding; None if absent or empty."""
        raw = self.raw(tag)[:_MAX_TEXT_BYTES]
        if raw.isascii() and _ESCAPE not in raw:  # repeats text_of, without a call: this is the hot path
            return raw.decode("ascii").strip(" \x00") or None
        return text_of(raw, self.raw(SPECIFIC_CHARACTER_SET))

    def short_values(self, tags: tuple[int, ...], longest: int) -> tuple[bytes, ...]:
        """Return the bytes of several values, each cut to `longest`; empty if absent or of undefined length.

        This takes a third of the time of one call of `raw` for each tag.
        """
        data, get = self.data, self.found.get
        return tuple(
            [
                b""
                if (element := get(tag)) is None or element[2] == UNDEFINED
                else data[element[1] : element[1] + (element[2] if element[2] < longest else longest)]  # noqa: FURB136
                for tag in tags
            ]
        )

    def written(self, tags: tuple[int, ...], longest: int) -> tuple[bytes | None, ...] | None:
        """Return VR and bytes of several elements, one after the other. An absent element is None.

        If two data sets of the same encoding have equal results, their values of these elements are equal. The whole
        result is None if a value is longer than `longest` or of undefined length.
        """
        data, get = self.data, self.found.get
        written: list[bytes | None] = []
        for tag in tags:
            element = get(tag)
            if element is None:
                written.append(None)
                continue
            vr, begin, length = element
            if length > longest:
                return None
            written += vr, data[begin : begin + length]
        return tuple(written)

    def numbers(self, tag: int) -> list[float]:
        """Return all values of a numeric element; empty if absent. Raises HeaderError unless all values are finite."""
        element = self.found.get(tag)
        if element is None:
            return []
        if element[2] > _MAX_NUMBERS_BYTES:
            raise HeaderError(f"{tag_name(tag)} is too long for a list of numbers.")
        vr = _vr_of(tag, element[0])
        raw = self.raw(tag)
        if vr in _DIGITS:
            parts = raw.decode("ascii", "replace").strip(" \x00").split("\\")
            return [_finite(part, tag) for part in parts if part.strip()]
        if vr not in _BINARY:
            raise HeaderError(f"{tag_name(tag)} must be a number, but has a VR of text.")
        if len(raw) % struct.calcsize(_BINARY[vr]):
            raise HeaderError(f"{tag_name(tag)} at offset {element[1]:,} has a length that does not fit numbers.")
        values = list(self.unpack(raw, _BINARY[vr]))
        if not all(math.isfinite(value) for value in values):
            raise HeaderError(f"{tag_name(tag)} is not a finite number.")
        return values

    def number(self, tag: int) -> float | None:
        """Return the first value of a numeric element; None if absent or empty. Raises HeaderError."""
        values = self.numbers(tag)
        return values[0] if values else None

    def integer(self, tag: int) -> int | None:
        """Return the only value of an integer element; None if absent or empty. Raises HeaderError for other values."""
        element = self.found.get(tag)
        if element is not None and element[0] == b"US" and element[2] == 2:  # noqa: PLR2004 - the common case
            _, position, length = element
            return int.from_bytes(self.data[position : position + length], "little" if self.encoding.little else "big")
        values = self.numbers(tag)
        if not values:
            return None
        if len(values) != 1 or values[0] != int(values[0]):
            raise HeaderError(f"{tag_name(tag)} must be one integer and is not.")
        return int(values[0])

    def unpack(self, raw: bytes, code: str) -> tuple[float, ...]:
        """Unpack binary values of one struct code in the byte order of the data set."""
        size = struct.calcsize(code)
        order = "<" if self.encoding.little else ">"
        return struct.unpack(f"{order}{len(raw) // size}{code}", raw[: len(raw) // size * size])

    def items(self, tag: int) -> Iterator["Elements"]:
        """Yield the items of a sequence; none if it is absent. Raises HeaderError and TruncatedError."""
        element = self.found.get(tag)
        if element is None:
            return
        vr, position, length = element
        encoding = item_encoding(self.data, self.encoding, vr, position)
        end = len(self.data) if length == UNDEFINED else position + length
        while position < end:
            if position + 8 > len(self.data):
                raise TruncatedError(f"The file ends within the sequence {tag_name(tag)}.")
            mark, length = item_header(self.data, position, encoding)
            position += 8
            if mark == ITEM_END:
                continue
            if mark != ITEM:
                return
            item_end = end if length == UNDEFINED else position + length
            item = Elements(self.data, encoding, position, item_end, depth=1)
            if item.fault:
                raise item.fault
            yield item
            position = item.end if length == UNDEFINED else item_end

    def item(self, tag: int) -> "Elements | None":
        """Return the first item of a sequence; None if there is none. Raises HeaderError and TruncatedError."""
        return next(self.items(tag), None)


def text_of(raw: bytes, character_sets: bytes) -> str | None:
    """Return a value as text, like `Elements.text`; `character_sets` is the value of SpecificCharacterSet."""
    if raw.isascii() and _ESCAPE not in raw:
        return raw.decode("ascii").strip(" \x00") or None
    names = character_sets.decode("ascii", "replace").split("\\")
    return _decoded(raw, names).strip(" \x00") or None


def decimal(text: str) -> float | None:
    """Read a decimal string (PS3.5 section 6.2, DS); None if it is not a number. Returns infinity and NaN unchanged.

    A comma, which some devices write as decimal separator, counts as a point.
    """
    try:
        return float("not a number" if "_" in text else text.replace(",", ".", 1))
    except ValueError:
        return None


def _finite(text: str, tag: int) -> float:
    value = decimal(text)
    if value is None:
        raise HeaderError(f"{tag_name(tag)} holds text that is not a number.")
    if not math.isfinite(value):
        raise HeaderError(f"{tag_name(tag)} is not a finite number.")
    return value


@lru_cache(maxsize=1024)
def _vr_of(tag: int, written: bytes) -> str:
    """Return the VR that decides how numbers are read. Decimal digits are the same in every VR of text."""
    vr = written.decode("ascii", "replace")
    lawful = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
    if vr in ("", "UN") or (lawful in _DIGITS and vr not in _BINARY):
        vr = lawful
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
