"""Find the positions of the elements and fragments of a file, as targets of mutations."""

import struct
import zlib
from dataclasses import dataclass
from functools import cache

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from fuzz.seeds import Seed
from imaging import tags
from imaging.elements import Elements
from imaging.header import DEFLATED_EXPLICIT_LITTLE, read_header
from imaging.limits import DEFAULT_LIMITS
from imaging.walk import UNDEFINED
from nightread.errors import RejectImage

_DEPTH = 4
_BINARY_VRS = ("US", "SS", "UL", "SL", "FL", "FD", "OW")


@dataclass(frozen=True, kw_only=True, slots=True)
class ElementLayout:
    """One data element; its header starts at byte `start` and its value at byte `value`."""

    tag: int
    start: int
    value: int
    length: int
    binary: bool
    """Whether the value consists of binary numbers of at least two bytes and is not text."""
    long: bool
    """Whether the length field has four bytes; otherwise it has two."""
    little: bool

    @property
    def end(self) -> int:
        """The position behind the value, or the start of the value if its length is undefined."""
        return self.value + (0 if self.length == UNDEFINED else self.length)

    @property
    def length_at(self) -> int:
        """The position of the length field."""
        return self.value - (4 if self.long else 2)

    def written_length(self, length: int) -> bytes:
        """Encode a length for the length field of this element; higher bits are cut off."""
        order, code = "<" if self.little else ">", "I" if self.long else "H"
        return struct.pack(order + code, length & (0xFFFFFFFF if self.long else 0xFFFF))


@dataclass(frozen=True, kw_only=True, slots=True)
class FileLayout:
    """The parts of a file: `prefix`, then `body`. If `deflated`, `body` is the inflated content."""

    prefix: bytes
    body: bytes
    deflated: bool
    parts: tuple[ElementLayout, ...]
    fragments: tuple[tuple[int, int], ...]
    """Start and end of the items of encapsulated pixel data, the offset table first."""

    def file(self, body: bytes) -> bytes:
        """Build the whole file with another body."""
        if not self.deflated:
            return self.prefix + body
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return self.prefix + packer.compress(body) + packer.flush()


@cache
def layout_of(seed: Seed) -> FileLayout:
    """Return the layout of a valid file. A file that is not DICOM has neither elements nor fragments."""
    try:
        header = read_header(seed.data, DEFAULT_LIMITS)
    except RejectImage:
        return FileLayout(prefix=b"", body=seed.data, deflated=False, parts=(), fragments=())
    elements = header.elements
    deflated = header.transfer_syntax == DEFLATED_EXPLICIT_LITTLE
    prefix = b""
    if deflated:
        meta_length = struct.unpack_from("<I", seed.data, 140)[0]
        prefix = seed.data[: 144 + meta_length]
    parts = tuple(_parts(elements, 0))
    pixels = next((part for part in parts if part.tag == tags.PIXEL_DATA), None)
    fragments = tuple(_items(elements.data, pixels.value)) if pixels and pixels.length == UNDEFINED else ()
    return FileLayout(prefix=prefix, body=elements.data, deflated=deflated, parts=parts, fragments=fragments)


def _parts(elements: Elements, depth: int) -> list[ElementLayout]:
    found = []
    for tag in elements:
        vr, value, length = elements.get(tag) or (b"", 0, 0)
        long = not vr or vr in (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
        binary = (vr.decode() or _usual_vr(tag))[:2] in _BINARY_VRS
        start = value - (12 if vr and long else 8)
        little = elements.encoding.little
        found.append(
            ElementLayout(tag=tag, start=start, value=value, length=length, long=long, binary=binary, little=little)
        )
        if (vr == b"SQ" or length == UNDEFINED) and depth < _DEPTH and tag not in tags.PIXEL_DATA_TAGS:
            for item in elements.items(tag):
                found += _parts(item, depth + 1)
    return found


def _usual_vr(tag: int) -> str:
    return str(dictionary_VR(tag)) if dictionary_has_tag(tag) else "UN"


def _items(data: bytes, position: int) -> list[tuple[int, int]]:
    items = []
    while position + 8 <= len(data):
        tag, length = struct.unpack_from("<II", data, position)
        if tag != 0xE000FFFE or position + 8 + length > len(data):
            break
        items.append((position + 8, position + 8 + length))
        position += 8 + length
    return items
