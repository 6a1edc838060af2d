"""Encode the start of a DICOM file: preamble, prefix and File Meta Information (DICOM PS3.10, section 7.1)."""

import struct

from nightread.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE = bytes(128) + b"DICM"
_GROUP = 0x0002


def file_head(*, sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Return the bytes before the dataset, in Explicit VR Little Endian. Raises ValueError for non-ASCII UIDs."""
    elements = b"".join(
        (
            struct.pack("<HH2s2xI", _GROUP, 0x0001, b"OB", 2) + b"\x00\x01",
            _element(0x0002, b"UI", sop_class),
            _element(0x0003, b"UI", sop_instance),
            _element(0x0010, b"UI", transfer_syntax),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
        )
    )
    length = struct.pack("<HH2sHI", _GROUP, 0x0000, b"UL", 4, len(elements))
    return _PREAMBLE + length + elements


def _element(number: int, representation: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    value += (b"\0" if representation == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", _GROUP, number, representation, len(value)) + value
