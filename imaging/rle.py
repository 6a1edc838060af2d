"""Decode RLE frames (PS3.5 annex G), with a second, lenient decoder for frames that the fast one refuses."""

import struct
from itertools import pairwise

import imagecodecs
import numpy as np

from imaging.array import Array
from imaging.pixel_layout import PixelLayout
from nightread.errors import RejectImage
from nightread.reasons import Reason

_HEADER = struct.Struct("<16I")
_NO_OPERATION = 128


def is_rle(frame: bytes) -> bool:
    """Return whether a frame begins like the header of an RLE frame: 1 to 15 segments, the first at byte 64."""
    return len(frame) > _HEADER.size and 0 < frame[0] < 16 and frame[1:8] == b"\0\0\0\x40\0\0\0"  # noqa: PLR2004


def decode_rle(frame: bytes, layout: PixelLayout) -> Array:
    """Return unsigned integers of shape (rows, columns) or (rows, columns, samples), with the bits of the pixel cell.

    Raises RejectImage(TRUNCATED or BAD_PIXELS).
    """
    dtype = np.dtype(f"<u{layout.bits_allocated // 8}")
    planes = np.empty((layout.samples, layout.rows, layout.columns), dtype)
    try:
        decoded = imagecodecs.dicomrle_decode(frame, dtype, out=planes.data.cast("B"))
        complete = len(decoded) == planes.nbytes
    except (imagecodecs.DicomrleError, ValueError):
        complete = False
    if not complete:
        _decode_leniently(frame, planes)
    return planes[0] if layout.samples == 1 else np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _decode_leniently(frame: bytes, planes: Array) -> None:
    """Fill the planes segment by segment; each may be padded, and decode to more bytes than the plane has pixels.

    The number of segments in the header is not used: the offsets tell. pydicom decodes such frames in the same way.
    """
    cells = planes.reshape(len(planes), -1)
    each, width = cells.shape[1], cells.dtype.itemsize
    starts = _segment_starts(frame, len(planes) * width)
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(frame)], strict=True)):
        segment = _unpacked(frame, start, end, each)
        if len(segment) < each:
            raise RejectImage(Reason.TRUNCATED, "An RLE frame holds fewer pixels than the header declares.")
        plane, byte = divmod(index, width)  # the most significant byte comes first
        cells[plane].view(np.uint8)[width - 1 - byte :: width] = np.frombuffer(segment, np.uint8, each)


def _segment_starts(frame: bytes, segments: int) -> list[int]:
    if len(frame) < _HEADER.size:
        raise RejectImage(Reason.TRUNCATED, "An RLE frame ends within its header.")
    starts = [offset for offset in _HEADER.unpack_from(frame)[1:] if offset]
    ascending = [_HEADER.size - 1, *starts, len(frame)]
    if len(starts) != segments or any(low >= high for low, high in pairwise(ascending)):
        raise RejectImage(
            Reason.BAD_PIXELS, f"An RLE frame does not have the {segments} segments that the header requires."
        )
    return starts


def _unpacked(frame: bytes, position: int, end: int, length: int) -> bytearray:
    """Unpack up to `length` bytes. Runs that reach beyond the end of the segment are cut."""
    unpacked = bytearray()
    while position < end and len(unpacked) < length:
        count = frame[position]
        if count < _NO_OPERATION:
            unpacked += frame[position + 1 : min(position + 2 + count, end)]
            position += 2 + count
        else:
            if count > _NO_OPERATION:
                unpacked += frame[position + 1 : min(position + 2, end)] * (257 - count)
                position += 1
            position += 1
    return unpacked
