"""PNG and JPEG files, for sites that accept them: pixels without a patient, a window or a rescale."""

import struct

import cv2
import numpy as np

from imaging.array import Array
from imaging.codestream import read_codestream
from imaging.facts import Facts
from imaging.limits import Limits
from imaging.scan import Frame, Scan
from nightread.errors import RejectImage
from nightread.reasons import Reason

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_GRAY_DIMENSIONS = 2


def is_raster(data: bytes) -> bool:
    """Whether the bytes begin like a PNG or JPEG file."""
    return data.startswith((_PNG, _JPEG))


def read_raster(data: bytes, limits: Limits) -> Scan:
    """Decode at once; transparency is dropped. Raises RejectImage(TOO_LARGE, TRUNCATED or BAD_PIXELS)."""
    rows, columns = _declared_size(data)
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
    return Scan(facts=facts, frame_count=1, elements=None, source=(frame,))


def _declared_size(data: bytes) -> tuple[int, int]:
    if data.startswith(_PNG):
        if len(data) < 24:  # noqa: PLR2004 - signature, length, type, width and height
            raise RejectImage(Reason.TRUNCATED, "The picture ends within its header.")
        columns, rows = struct.unpack_from(">II", data, 16)
        return rows, columns
    stream = read_codestream(data)
    if stream is None:
        raise RejectImage(Reason.BAD_PIXELS, "The picture has no frame header.")
    return stream.rows, stream.columns
