"""Decode RLE frames (PS3.5 annex G), with a second, lenient decoder for segments that the fast decoder refuses."""

import struct
from itertools import pairwise

import imagecodecs
import numpy as np

from imaging.array import Array
from imaging.joined_codestreams import Span
from imaging.pixel_layout import PixelLayout
from nightread.errors import RejectImage
from nightread.reasons import Reason

_HEADER = struct.Struct("<16I")
_NO_OPERATION = 128
_MOST_LEFT = 4
"""After the last pixel of a segment, up to this many bytes that are not zero count as padding."""
_FILL = b"\xff" * 8
_TWICE_FILL = 255
"""As a count, the byte 0xFF says: the next byte comes twice. So an area filled with 0xFF is read as many runs of two
bytes 0xFF."""
_MOST_PAIRS = 2


def is_rle(frame: bytes) -> bool:
    """Return whether a frame begins like the header of an RLE frame: 1 to 15 segments, the first at byte 64."""
    return len(frame) > _HEADER.size and 0 < frame[0] < 16 and frame[1:8] == b"\0\0\0\x40\0\0\0"  # noqa: PLR2004


def decode_rle(frame: bytes, layout: PixelLayout) -> Array:
    """Return unsigned integers of BitsAllocated bits, of shape (rows, columns) or (rows, columns, samples).

    Raises RejectImage(TRUNCATED or BAD_PIXELS).
    """
    dtype = np.dtype(f"<u{layout.bits_allocated // 8}")
    planes = np.empty((layout.samples, layout.rows, layout.columns), dtype)
    cells = planes.reshape(layout.samples, -1)
    each, width = cells.shape[1], dtype.itemsize
    starts = _segment_starts(frame, layout.samples * width)
    buffer = np.empty(each, np.uint8)
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(frame)], strict=True)):
        _unpack(frame, (start, end), buffer, layout.columns)
        plane, byte = divmod(index, width)  # the most significant byte comes first
        cells[plane].view(np.uint8)[width - 1 - byte :: width] = buffer
    return planes[0] if layout.samples == 1 else np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _unpack(frame: bytes, span: Span, pixels: Array, row: int) -> None:
    start, end = span
    try:
        count = len(imagecodecs.packbits_decode(frame[start:end], out=pixels.data))
    except (imagecodecs.PackbitsError, ValueError):
        count = 0
    if count != len(pixels):
        _unpack_leniently(frame, span, pixels, row)
    if frame.endswith(_FILL, start, end) and _pairs_at_end(frame, start, end) > _MOST_PAIRS:
        raise RejectImage(Reason.BAD_PIXELS, "A segment of an RLE frame ends with 0xFF bytes instead of pixel data.")


def _segment_starts(frame: bytes, segments: int) -> list[int]:
    if len(frame) < _HEADER.size:
        raise RejectImage(Reason.TRUNCATED, "An RLE frame ends within its header.")
    count, *offsets = _HEADER.unpack_from(frame)
    # If the number of segments is wrong, the offsets decide; an offset of zero means no segment.
    starts = offsets[:segments] if count == segments else [offset for offset in offsets if offset]
    ascending = [_HEADER.size - 1, *starts, len(frame)]
    if len(starts) != segments or any(low >= high for low, high in pairwise(ascending)):
        raise RejectImage(
            Reason.BAD_PIXELS, f"An RLE frame does not have the {segments} segments that the header requires."
        )
    return starts


def _unpack_leniently(frame: bytes, span: Span, pixels: Array, row: int) -> None:
    """Decode a segment into `pixels`. Its last run may reach beyond the end of the segment, or of the picture."""
    position, end = span
    unpacked, length = bytearray(), len(pixels)
    has_rows = False
    while position < end and len(unpacked) < length:
        has_rows |= len(unpacked) == row
        count = frame[position]
        if count < _NO_OPERATION:
            unpacked += frame[position + 1 : min(position + 2 + count, end)]
            position += 2 + count
        else:
            if count > _NO_OPERATION:
                unpacked += frame[position + 1 : min(position + 2, end)] * (257 - count)
                position += 1
            position += 1
    if len(unpacked) < length:
        raise RejectImage(Reason.TRUNCATED, "An RLE frame holds fewer pixels than the header declares.")
    left = len(frame[position:end].rstrip(b"\0"))
    # A writer that encodes row by row, as G.3.1 demands, never writes a run that is too long.
    if left > _MOST_LEFT or (len(unpacked) > length and (left or has_rows)):
        raise RejectImage(Reason.BAD_PIXELS, "A segment of an RLE frame holds more pixels than the header declares.")
    pixels[:] = np.frombuffer(unpacked, np.uint8, length)


def _pairs_at_end(frame: bytes, position: int, end: int) -> int:
    """Return the number of runs of two bytes 0xFF at the end of the segment.

    Several such runs show that the segment was filled with 0xFF: a writer would make one longer run.
    """
    pairs = 0
    while position + 1 < end:
        count = frame[position]
        pairs = pairs + 1 if count == _TWICE_FILL and frame[position + 1 : position + 2] == b"\xff" else 0
        position += 1 if count == _NO_OPERATION else 2 if count > _NO_OPERATION else 2 + count
    return pairs
