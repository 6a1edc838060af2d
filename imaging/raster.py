"""Read PNG and JPEG files, for sites that accept them. They have no patient, no window and no rescale."""

import struct

import cv2
import numpy as np

from imaging.array import Array
from imaging.codestream import lacks_end_marker, read_codestream
from imaging.dicom_image import DicomImage, Frame
from imaging.facts import Facts
from imaging.limits import Limits
from nightread.errors import RejectImage
from nightread.reasons import Reason

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_GRAY_DIMENSIONS = 2
_PNG_END = b"IEND"
_TAIL = 32
_PNG_COLOUR_TYPE = 25
"""Position of the colour type in the IHDR chunk (PNG 11.2.2)."""
_PNG_COLOURED = (2, 3, 6)
"""Colour types RGB, palette, and RGB with transparency."""


def is_raster(data: bytes) -> bool:
    """Return whether the bytes begin like a PNG or JPEG file."""
    return data[: len(_PNG)].startswith((_PNG, _JPEG))  # a slice, because a memory map has no startswith


def read_raster(data: bytes, limits: Limits) -> DicomImage:
    """Read and decode the file; transparency is dropped. Raises RejectImage(TOO_LARGE, TRUNCATED or BAD_PIXELS)."""
    rows, columns = declared_size(data)
    if rows * columns > limits.frame_pixels:
        raise RejectImage(Reason.TOO_LARGE, "The picture exceeds the limit for one frame.")
    try:
        pixels: Array | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise RejectImage(Reason.BAD_PIXELS, "The picture cannot be decoded.")
    if pixels.ndim > _GRAY_DIMENSIONS:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    facts = Facts(rows=pixels.shape[0], columns=pixels.shape[1], frames=1, decoder=f"opencv {cv2.__version__}")
    frame = Frame(index=0, stored=pixels, bits_stored=pixels.dtype.itemsize * 8)
    return DicomImage(facts=facts, frame_count=1, elements=None, source=(frame,))


def check_raster(data: bytes, limits: Limits) -> bool:
    """Return whether the picture is in colour, without decoding it.

    Raises RejectImage: EMPTY, BAD_PIXELS, TOO_LARGE, or TRUNCATED if the end of the file is missing (PNG 11.2.5, ITU-T
    T.81 B.2.1).
    """
    if not data:
        raise RejectImage(Reason.EMPTY)
    if not is_raster(data):
        raise RejectImage(Reason.BAD_PIXELS, "The file is neither PNG nor JPEG.")
    rows, columns = declared_size(data)
    if rows * columns > limits.frame_pixels:
        raise RejectImage(Reason.TOO_LARGE, "The picture exceeds the limit for one frame.")
    is_png = data.startswith(_PNG)
    if _PNG_END not in data[-_TAIL:] if is_png else lacks_end_marker(data):
        raise RejectImage(Reason.TRUNCATED, "The end of the picture is missing.")
    if is_png:
        return data[_PNG_COLOUR_TYPE] in _PNG_COLOURED
    stream = read_codestream(data)
    return stream is not None and stream.samples > 1


def declared_size(data: bytes) -> tuple[int, int]:
    """Return rows and columns according to the header. Raises RejectImage(TRUNCATED or BAD_PIXELS)."""
    if data.startswith(_PNG):
        if len(data) < 24:  # noqa: PLR2004 - signature, length, type, width and height
            raise RejectImage(Reason.TRUNCATED, "The picture ends within its header.")
        columns, rows = struct.unpack_from(">II", data, 16)
        return rows, columns
    stream = read_codestream(data)
    if stream is None:
        raise RejectImage(Reason.BAD_PIXELS, "The picture has no frame header.")
    return stream.rows, stream.columns
