"""Read the header of a compressed frame before a decoder allocates memory for it."""

import struct
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from imaging.jpeg2000 import codestream_start, has_own_colour_transform, is_reversible, is_ycc, read_size

_JPEG_START = b"\xff\xd8"
_START_OF_FRAME = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS_FRAMES = frozenset((0xC3, 0xC7, 0xCB, 0xCF))
_JPEG_LS_FRAME = 0xF7
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"
_TAIL = 32
"""Number of bytes at the end of a frame in which the end-of-image marker is searched first."""
_JFIF, _ADOBE = 0xE0, 0xEE
_APPLICATION = frozenset((_JFIF, _ADOBE))
_TRANSFORM = 11
"""Position of the colour transform in Adobe's marker. The value 0 means no transform."""
_RGB_IDS = (b"RGB", b"rgb")
_COLOURS = 3


class Coding(Enum):
    """The coding process of a frame, which its first bytes and markers declare."""

    JPEG = auto()
    JPEG_LOSSLESS = auto()
    JPEG_LS = auto()
    JPEG_2000 = auto()


class Colours(Enum):
    """The colour space of the components, or of the pixels that the decoder returns."""

    RGB = auto()
    YBR = auto()
    UNSAID = auto()
    """The frame does not tell its colours; the header decides."""
    PROBABLY_YBR = auto()
    """No marker tells the colours, but two components are stored more coarsely, which is never done with RGB."""


class Codestream(NamedTuple):
    """The size of a compressed frame, and the number, bits and sign of its samples."""

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool
    coding: Coding = Coding.JPEG_2000
    colours: Colours = Colours.UNSAID
    near: int = 0
    """JPEG-LS: the largest error of a sample; 0 is lossless."""


def read_codestream(frame: bytes) -> Codestream | None:
    """Read the frame header. Return None if the frame has no header.

    Supports JPEG (ITU-T T.81 B.2.2), JPEG-LS (T.87 C.2.2) and JPEG 2000 (T.800 A.5.1).
    """
    if frame.startswith(_JPEG_START):
        return _jpeg(frame)
    size = read_size(frame)
    if size is None:
        return None
    colours = _jpeg2000_colours(frame) if size[2] == _COLOURS else Colours.UNSAID
    return Codestream(*size, colours=colours)


def is_lossless(frame: bytes, stream: Codestream) -> bool:
    """Return whether decoding restores exactly the samples that the writer compressed."""
    if stream.coding is Coding.JPEG_2000:
        return is_reversible(frame)
    return stream.coding is Coding.JPEG_LOSSLESS or (stream.coding is Coding.JPEG_LS and stream.near == 0)


def lacks_end_marker(frame: bytes) -> bool:
    """Return whether the end-of-image marker of JPEG or JPEG-LS is missing.

    libjpeg decodes such a frame without an error and fills the rest with grey.
    """
    if _END_OF_IMAGE in frame[-_TAIL:]:
        return False
    # Compressed values never look like the marker (T.81 B.1.1.5), but a preview before the scan has one too.
    return frame.rfind(_END_OF_IMAGE) < first_scan(frame)


def first_scan(frame: bytes | memoryview) -> int:
    """Return the position of the first scan header of a JPEG or JPEG-LS frame, else the length of the frame."""
    scans = (position for marker, position, _ in _marker_segments(frame) if marker == _START_OF_SCAN)
    return next(scans, len(frame))


def without_boxes(frame: bytes) -> bytes:
    """Return a JPEG 2000 frame without the boxes of the file format JP2, which some writers put around the codestream.

    A decoder would apply the colour profile in these boxes to the values. Other frames are returned unchanged.
    """
    start = codestream_start(frame)
    return frame[start:] if start else frame


def _jpeg2000_colours(frame: bytes) -> Colours:
    if has_own_colour_transform(frame):
        return Colours.RGB
    return Colours.YBR if is_ycc(frame) else Colours.UNSAID


def _jpeg(frame: bytes) -> Codestream | None:
    """Read the frame header. For colour frames and JPEG-LS, also read the other markers up to the first scan."""
    stream, components, scan = None, b"", len(frame)
    application: dict[int, bytes] = {}
    for marker, position, end in _marker_segments(frame):
        if marker in _START_OF_FRAME:
            if position + 8 > len(frame):
                return None
            precision, rows, columns, samples = struct.unpack_from(">BHHB", frame, position + 2)
            stream = Codestream(rows, columns, samples, precision, signed=False, coding=_coding(marker))
            components = frame[position + 8 : end]
            if samples != _COLOURS and marker != _JPEG_LS_FRAME:
                return stream
        elif marker == _START_OF_SCAN:
            scan = position
            break
        elif marker in _APPLICATION:
            application.setdefault(marker, frame[position + 2 : end])
    if stream is None:
        return None
    return stream._replace(colours=_jpeg_colours(stream, components, application), near=_near(frame, scan, stream))


def _marker_segments(frame: bytes | memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield each marker after the start of the image, with the positions of its length field and of its end."""
    position = 2
    while position + 4 <= len(frame) and frame[position] == 0xFF:  # noqa: PLR2004 - first byte of every marker
        marker = frame[position + 1]
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            position += 1
        elif marker in _STANDALONE:
            position += 2
        else:
            end = position + 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
            yield marker, position + 2, end
            position = end


def _coding(marker: int) -> Coding:
    if marker == _JPEG_LS_FRAME:
        return Coding.JPEG_LS
    return Coding.JPEG_LOSSLESS if marker in _LOSSLESS_FRAMES else Coding.JPEG


def _near(frame: bytes, scan: int, stream: Codestream) -> int:
    """Return NEAR of the first scan header, whose length field is at `scan` (T.87 C.2.3)."""
    if stream.coding is not Coding.JPEG_LS:
        return 0
    position = scan + 3 + 2 * int.from_bytes(frame[scan + 2 : scan + 3], "big")
    return int.from_bytes(frame[position : position + 1], "big")


def _jpeg_colours(stream: Codestream, components: bytes, application: dict[int, bytes]) -> Colours:
    """Return the colours that the markers declare for three components.

    Adobe's transform decides first, then the ids of the components, then JFIF, which is always YCbCr.
    """
    if len(components) < 3 * _COLOURS or stream.coding is Coding.JPEG_LS:
        return Colours.UNSAID
    adobe, jfif = application.get(_ADOBE, b""), application.get(_JFIF, b"").startswith(b"JFIF")
    transform = adobe[_TRANSFORM] if adobe.startswith(b"Adobe") and len(adobe) > _TRANSFORM else None
    if transform == 0 and jfif:
        return Colours.UNSAID  # The two markers contradict each other.
    if transform is not None:
        return Colours.YBR if transform else Colours.RGB
    if components[::3] in _RGB_IDS:
        return Colours.RGB
    if jfif:
        return Colours.YBR
    coarser = components[1] != components[4] or components[2] != components[5] == components[8]
    return Colours.PROBABLY_YBR if coarser and stream.coding is Coding.JPEG else Colours.UNSAID
