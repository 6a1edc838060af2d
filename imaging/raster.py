"""Read PNG and JPEG files, for sites that accept them. They have no patient, no window and no rescale.

Serving and training share the checks: bytes behind the end of a picture, such as the trailer of a camera or padding,
are allowed; a missing end is not, because a decoder would fill the rest with grey.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import imagecodecs
import numpy as np

from imaging.array import Array
from imaging.codestream import lacks_end_marker, read_codestream
from imaging.dicom_image import DicomImage, Frame
from imaging.facts import Facts
from imaging.jpeg_complete import decode_complete
from imaging.limits import Limits
from nightread.errors import ImageError, RejectImage
from nightread.reasons import Reason

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_DICOM_PREFIX = slice(128, 132)
"""Where a DICOM file has the letters DICM, behind its preamble (PS3.10 section 7.1)."""
_GRAY_DIMENSIONS = 2
_PNG_END, _PNG_PIXELS = b"IEND", b"IDAT"
_INFLATED_AT_ONCE = 64 * 1024
_MOST_TIMES, _MOST_BEYOND = 3, 1024 * 1024
"""Coded pixels may take 3 times as many bytes as decoded ones, plus 1 MiB: they have filter bytes and transparency."""
_PNG_CHUNK = struct.Struct(">I4s")
"""Length of the data and type of a chunk; a checksum of four bytes follows the data (PNG 5.3)."""
_PNG_COLOUR_TYPE = 25
"""Position of the colour type in the IHDR chunk (PNG 11.2.2)."""
_PNG_HEADER = 26
_PNG_COLOURED = (2, 3, 6)
"""Colour types RGB, palette, and RGB with transparency."""


class RasterHeader(NamedTuple):
    """What the header of a picture says."""

    rows: int
    columns: int
    in_colour: bool


def is_raster(data: bytes) -> bool:
    """Return whether the bytes begin like a PNG or JPEG file. The preamble of a DICOM file may begin like one too."""
    begins = data[: len(_PNG)].startswith((_PNG, _JPEG))  # a slice, because a memory map has no startswith
    return begins and data[_DICOM_PREFIX] != b"DICM"


def read_raster(data: bytes, limits: Limits) -> DicomImage:
    """Read and decode the file; transparency is dropped. Raises RejectImage(TOO_LARGE, TRUNCATED or BAD_PIXELS)."""
    check_raster(data, limits)
    try:
        pixels: Array | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise RejectImage(Reason.BAD_PIXELS, "The decoder cannot read the picture.")
    if data.startswith(_PNG):
        _check_checksum(data, pixels.nbytes)
    else:
        _check_coded_data(data)
    if pixels.ndim > _GRAY_DIMENSIONS:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    facts = Facts(rows=pixels.shape[0], columns=pixels.shape[1], frames=1, decoder=f"opencv {cv2.__version__}")
    frame = Frame(index=0, stored=pixels, bits_stored=pixels.dtype.itemsize * 8)
    return DicomImage(facts=facts, frame_count=1, elements=None, source=(frame,))


def check_raster(data: bytes, limits: Limits) -> RasterHeader:
    """Check without decoding that a picture is complete, and return its header.

    Raises RejectImage: EMPTY, BAD_PIXELS, TOO_LARGE, or TRUNCATED if the end of the picture is missing (PNG 11.2.5,
    ITU-T T.81 B.2.1).
    """
    if not data:
        raise RejectImage(Reason.EMPTY)
    if not is_raster(data):
        raise RejectImage(Reason.BAD_PIXELS, "The file is neither PNG nor JPEG.")
    return _check_png(data, limits) if data.startswith(_PNG) else _check_jpeg(data, limits)


def _check_png(data: bytes, limits: Limits) -> RasterHeader:
    if len(data) < _PNG_HEADER:
        raise RejectImage(Reason.TRUNCATED, "The picture ends within its header.")
    columns, rows = struct.unpack_from(">II", data, 16)
    _check_size(rows, columns, limits)
    position, kind = len(_PNG), b""
    while kind != _PNG_END:
        if position + _PNG_CHUNK.size > len(data):
            raise RejectImage(Reason.TRUNCATED, "The end of the picture is missing (chunk IEND).")
        length, kind = _PNG_CHUNK.unpack_from(data, position)
        position += _PNG_CHUNK.size + length + 4
    return RasterHeader(rows, columns, in_colour=data[_PNG_COLOUR_TYPE] in _PNG_COLOURED)


def _check_jpeg(data: bytes, limits: Limits) -> RasterHeader:
    stream = read_codestream(data)
    if stream is None:
        raise RejectImage(Reason.BAD_PIXELS, "The picture has no frame header.")
    _check_size(stream.rows, stream.columns, limits)
    if lacks_end_marker(data):
        raise RejectImage(Reason.TRUNCATED, "The end of the picture is missing (marker FFD9).")
    return RasterHeader(stream.rows, stream.columns, in_colour=stream.samples > 1)


def _check_checksum(data: bytes, size: int) -> None:
    """Inflate a PNG file a second time: OpenCV ignores the checksum of the pixels if all rows could be inflated.

    `size` is the size of the decoded pixels; it limits how many bytes are inflated (PNG 10.1).
    """
    inflater, left = zlib.decompressobj(), _MOST_TIMES * size + _MOST_BEYOND
    try:
        for chunk in _idat_chunks(data):
            coded = chunk
            while coded and left > 0:
                left -= len(inflater.decompress(coded, _INFLATED_AT_ONCE))
                coded = inflater.unconsumed_tail
    except zlib.error:
        raise RejectImage(Reason.BAD_PIXELS, "The pixels of the picture do not match their checksum.") from None
    if not inflater.eof:
        raise RejectImage(Reason.TRUNCATED, "The pixels of the picture end too early, or do not end.")


def _idat_chunks(data: bytes) -> Iterator[bytes]:
    position, kind = len(_PNG), b""
    while kind != _PNG_END:
        length, kind = _PNG_CHUNK.unpack_from(data, position)
        position += _PNG_CHUNK.size
        if kind == _PNG_PIXELS:
            yield data[position : position + length]
        position += length + 4


def _check_coded_data(data: bytes) -> None:
    """Decode a JPEG file a second time: OpenCV does not say whether coded data are missing, and fills in grey."""
    try:
        decode_complete(bytes(data), imagecodecs.jpeg8_decode)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - the library raises types of its own
        raise RejectImage(Reason.BAD_PIXELS, f"The decoder failed ({type(error).__name__}).") from None


def _check_size(rows: int, columns: int, limits: Limits) -> None:
    if rows * columns > limits.frame_pixels:
        raise RejectImage(Reason.TOO_LARGE, "The size of the picture exceeds the limit max_frame_pixels.")
