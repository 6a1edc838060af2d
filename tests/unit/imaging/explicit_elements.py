"""Make data sets from single elements with explicit VR, byte by byte (PS3.5 section 7.1.2)."""

import struct
from collections.abc import Sequence

from imaging.elements import Elements
from imaging.walk import Encoding

_LONG = ("OB", "OW", "OF", "OD", "SQ", "UN", "SV", "UV")


def element(tag: int, vr: str, value: bytes | str = b"", *, little: bool = True, length: int | None = None) -> bytes:
    """Return one element; `length` replaces the true length of its value."""
    raw = value.encode() if isinstance(value, str) else value
    raw += (b"\x00" if vr in ("UI", "OB", "OW") else b" ") * (len(raw) % 2)
    order, size = "<" if little else ">", len(raw) if length is None else length
    start = struct.pack(f"{order}HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    return start + struct.pack(f"{order}xxI" if vr in _LONG else f"{order}H", size) + raw


def numbers(tag: int, *values: int, vr: str = "US", little: bool = True) -> bytes:
    """Return an element of 16-bit numbers."""
    code = f"{'<' if little else '>'}{len(values)}{'h' if vr == 'SS' else 'H'}"
    return element(tag, vr, struct.pack(code, *values), little=little)


def sequence(tag: int, items: Sequence[bytes], *, little: bool = True, length: int | None = None) -> bytes:
    """Return a sequence with these items, each the bytes of its elements."""
    order = "<" if little else ">"
    content = b"".join(struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(each)) + each for each in items)
    return element(tag, "SQ", content, little=little, length=length)


def data_set(*elements: bytes, little: bool = True) -> Elements:
    """Return the data set of these elements."""
    data = b"".join(elements)
    return Elements(data, Encoding(implicit=False, little=little), 0, len(data))
