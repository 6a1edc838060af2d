"""Make JPEG frames by hand, and decoders that do as they are told (ITU-T T.81, annex B)."""

from collections.abc import Callable

import imagecodecs
import numpy as np
from test_imaging_frame_headers import END, START, segment
from test_imaging_jpeg_markers import scan

from imaging.array import Array
from imaging.jpeg_complete import decode_complete
from imaging.jpeg_markers import read_markers
from nightread.errors import RejectImage
from nightread.reasons import Reason

TOO_EARLY = (Reason.TRUNCATED, "The coded data of a JPEG frame end too early.")
TOO_LONG = (Reason.BAD_PIXELS, "A JPEG frame holds more coded data than its pixels need.")
NO_SCAN = (Reason.TRUNCATED, "A JPEG frame ends before its last scan.")
NO_INTERVAL = (Reason.TRUNCATED, "Restart intervals of a JPEG frame are missing.")
CODED = b"\x31\x41\x59\x26"
SEQUENTIAL, PROGRESSIVE, LOSSLESS = 0xC0, 0xC2, 0xC3
GREY = 128


def size(
    rows: int = 5, columns: int = 128, *, marker: int = SEQUENTIAL, sampling: bytes = b"\x11", precision: int = 8
) -> bytes:
    """Return a frame header with a component for each sampling factor."""
    numbers = bytes((precision, rows >> 8, rows & 255, columns >> 8, columns & 255, len(sampling)))
    return segment(marker, numbers + b"".join(bytes((index, each, 0)) for index, each in enumerate(sampling, 1)))


def frame_of(*parts: bytes) -> bytes:
    """Return a frame with an end."""
    return START + b"".join(parts) + END


ALL = scan(b"\x01\x00\x02\x00\x03\x00")
"""The header of a scan of three components."""


class Decoder:
    """Makes pixels of the size that the frame header says, and keeps the frames."""

    def __init__(self, change: Callable[[Array, int], None] = lambda _pixels, _call: None) -> None:
        self.seen: list[bytes] = []
        self._change = change

    def __call__(self, frame: bytes) -> Array:
        """Return grey pixels with a bright first one, as `change` makes them in this call."""
        jpeg = read_markers(frame)
        assert jpeg is not None
        self.seen.append(frame)
        shape = (jpeg.rows, jpeg.columns, 3)[: 2 if len(jpeg.components) == 1 else 3]
        pixels = np.full(shape, 1 << jpeg.precision - 1, np.uint8 if jpeg.precision == 8 else np.uint16)
        pixels[0, 0] = 200
        self._change(pixels, len(self.seen))
        return pixels


def refusal(frame: bytes, decoder: Callable[[bytes], Array]) -> tuple[Reason, str] | None:
    """Return why a frame is rejected; None if it is decoded."""
    try:
        decode_complete(frame, decoder)
    except RejectImage as rejected:
        return rejected.reason, rejected.detail
    return None


def refused_by_libjpeg(frame: bytes) -> tuple[Reason, str] | None:
    """Return why a frame is rejected that libjpeg decodes; None if it is decoded."""
    return refusal(frame, imagecodecs.jpeg8_decode)


def different(*calls: int) -> Decoder:
    """Return a decoder that gives another picture in these calls."""
    return Decoder(lambda pixels, call: pixels.__setitem__((0, 1), 60 if call in calls else GREY))
