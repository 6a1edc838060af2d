"""Read the header of a compressed frame before a decoder allocates memory for it."""

import struct
from typing import NamedTuple

from imaging.jpeg2000 import read_size

_JPEG_START = b"\xff\xd8"
_START_OF_FRAME = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_END_OF_IMAGE = b"\xff\xd9"
_TAIL = 32
"""Number of bytes at the end of a frame that are searched for the marker: some writers add padding after it."""
_APPLICATION_MARKERS = (b"JFIF", b"Adobe")


class Codestream(NamedTuple):
    """Size of the compressed image, with number, bits and sign of its samples."""

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool


def read_codestream(frame: bytes) -> Codestream | None:
    """Read the frame header. Return None if the frame has no header.

    Supports JPEG (ITU-T T.81 B.2.2), JPEG-LS (T.87 C.2.2) and JPEG 2000 (T.800 A.5.1).
    """
    if frame.startswith(_JPEG_START):
        return _jpeg(frame)
    size = read_size(frame)
    return Codestream(*size) if size else None


def lacks_end_marker(frame: bytes) -> bool:
    """Return whether the end-of-image marker of JPEG or JPEG-LS is missing.

    libjpeg decodes such a frame without an error and fills the rest with grey.
    """
    return _END_OF_IMAGE not in frame[-_TAIL:]


def has_colour_marker(frame: bytes) -> bool:
    """Return whether a JPEG frame has a marker that tells the decoder its colour space."""
    return any(marker in frame[:512] for marker in _APPLICATION_MARKERS)


def _jpeg(frame: bytes) -> Codestream | None:
    position = 2
    while position + 4 <= len(frame) and frame[position] == 0xFF:  # noqa: PLR2004 - first byte of every marker
        marker = frame[position + 1]
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            position += 1
        elif marker in _STANDALONE:
            position += 2
        elif marker in _START_OF_FRAME:
            if position + 10 > len(frame):
                return None
            precision, rows, columns, samples = struct.unpack_from(">BHHB", frame, position + 4)
            return Codestream(rows, columns, samples, precision, signed=False)
        else:
            position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None
