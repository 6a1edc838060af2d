"""Split a fragment that holds several codestreams. DICOM allows only one in each fragment (PS3.5 section A.4)."""

import re
import struct
from itertools import islice, pairwise
from typing import NamedTuple

from imaging.codestream import first_scan
from nightread.errors import RejectImage
from nightread.reasons import Reason

Span = tuple[int, int]
"""Start and end of a fragment's bytes."""

STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
"""First bytes of JPEG and JPEG-LS (ITU-T T.81 B.1.1.3), JPEG 2000 (T.800 A.4.1), and a JP2 file (T.800 I.5.1)."""
MAX_CODESTREAMS = 100_000
"""Maximum number of codestreams of one fragment: each codestream takes memory."""
_JOINT = re.compile(rb"\xff\xd9[\x00\xff]{0,64}?(?=\xff\xd8\xff|\xff\x4f\xff\x51|\x00\x00\x00\x0cjP  )")
"""Matches the end of a codestream with its padding, if another codestream starts directly behind it."""
_START_OF_IMAGE, _START_OF_TILE = b"\xff\xd8", b"\xff\x90"
_RLE_HEADER = struct.Struct("<16I")
_RLE_MARK = re.compile(rb"(?=[\x01-\x0f]\x00\x00\x00\x40\x00\x00\x00)")
"""Matches the start of an RLE header: the number of segments, and the offset of the first segment."""
_RLE_MARK_BYTES = 8
_MOST_RLE_SEGMENTS = 15


class Codestreams(NamedTuple):
    """The codestreams of one fragment."""

    spans: list[Span]
    unsplit: bool = False
    """Whether the last span holds the start of another codestream, but no end before it, so that it cannot be split."""


def split(data: bytes, span: Span) -> Codestreams:
    """Return the codestreams of a fragment that begins with a codestream.

    Each fragment is first searched for the start of another codestream. This takes about 2 % of its decoding time.
    """
    start, end = span
    if is_rle(data, start, end):
        mark = data[start : start + _RLE_MARK_BYTES]
        alone = data.rfind(mark, start + _RLE_HEADER.size, end) < 0
        return Codestreams([span] if alone else _split_rle(data, start, end))
    mark = next((each for each in STARTS if data[start : start + len(each)] == each), b"")
    last_start = data.rfind(mark, start + 1, end) if mark else -1
    if last_start < 0:
        return Codestreams([span])
    pieces, header_end = [], _header_end(data, start, end)
    for joint in _JOINT.finditer(data, start, end):
        if joint.start() > header_end:
            pieces.append((start, joint.end()))
            _check_number(len(pieces) + 1)  # Another codestream follows each piece.
            start = joint.end()
            header_end = _header_end(data, start, end)
    return Codestreams([*pieces, (start, end)], unsplit=last_start > header_end)


def _header_end(data: bytes, start: int, end: int) -> int:
    """Return the end of the header of a codestream. A header may hold a preview with the same markers."""
    if data[start : start + len(_START_OF_IMAGE)] == _START_OF_IMAGE:
        with memoryview(data) as view, view[start:end] as codestream:  # No copy: there may be many codestreams.
            return start + first_scan(codestream)
    tile = data.find(_START_OF_TILE, start, end)
    return end if tile < 0 else tile


def _split_rle(data: bytes, start: int, end: int) -> list[Span]:
    marks = (mark.start() for mark in _RLE_MARK.finditer(data, start + _RLE_HEADER.size, end))
    starts = [start, *islice((mark for mark in marks if is_rle(data, mark, end)), MAX_CODESTREAMS)]
    _check_number(len(starts))
    return list(pairwise([*starts, end]))


def _check_number(found: int) -> None:
    if found > MAX_CODESTREAMS:
        raise RejectImage(Reason.TOO_LARGE, "A fragment of the compressed pixel data holds too many codestreams.")


def is_rle(data: bytes, start: int, end: int) -> bool:
    """Return whether the fragment has an RLE header: the number of segments and their offsets (PS3.5 section G.5)."""
    if end - start < _RLE_HEADER.size:
        return False
    count, *offsets = _RLE_HEADER.unpack_from(data, start)
    if not 1 <= count <= _MOST_RLE_SEGMENTS or offsets[0] != _RLE_HEADER.size:
        return False
    return all(low < high for low, high in pairwise([*filter(None, offsets), end - start]))
